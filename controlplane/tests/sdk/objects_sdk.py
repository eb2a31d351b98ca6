"""Forms, uploads, files and batches through the official SDKs, unchanged; and two teams that cannot see each other's."""

import base64
import io
import os
import sys

import anthropic
import openai

import gate

MODEL = "openai/sandbox-small"
RIVAL = os.environ["TOLLGATE_RIVAL_KEY"]
MIB = 1024 * 1024


def client(key=gate.KEY):
    return openai.OpenAI(base_url=gate.URL + "/v1", api_key=key, max_retries=0)


def claude(key=gate.KEY):
    return anthropic.Anthropic(base_url=gate.URL, api_key=key, max_retries=0)


def heard(text):
    """The length of the form that the provider got."""
    assert text.startswith("The sandbox heard "), text
    return int(text.split()[3])


def check_transcriptions():
    for size in (10, 3 * MIB, 8 * MIB):
        answer = client().audio.transcriptions.create(model=MODEL, file=("speech.mp3", b"\r\n-" * (size // 3)), prompt="names: Ada")
        assert size - 3 < heard(answer.text) < size + 2000, (size, answer.text)
        assert answer.usage.output_tokens == 5
    answer = client().audio.translations.create(model=MODEL, file=("speech.mp3", io.BytesIO(b"x" * (2 * MIB))))
    assert heard(answer.text) > 2 * MIB


def check_azures_client_puts_the_model_before_the_path():
    azure = openai.AzureOpenAI(azure_endpoint=gate.URL, api_key=gate.KEY, api_version="2025-03-01-preview", max_retries=0)
    for size in (10, 3 * MIB):
        answer = azure.audio.transcriptions.create(model=MODEL, file=("speech.mp3", b"x" * size))
        assert size - 3 < heard(answer.text) < size + 2000, (size, answer.text)
    named = openai.AzureOpenAI(azure_endpoint=gate.URL, azure_deployment=MODEL, api_key=gate.KEY,
                               api_version="2025-03-01-preview", max_retries=0)
    assert heard(named.audio.translations.create(model="whatever", file=("speech.mp3", b"x" * 10)).text) > 10
    picture = ("hat.png", b"\x89PNG" * 100, "image/png")
    assert azure.images.edit(model=MODEL, image=picture, prompt="a hat").data[0].b64_json


def check_image_edits():
    picture = ("hat.png", b"\x89PNG" * (MIB // 3), "image/png")
    edited = client().images.edit(model=MODEL, image=[picture, picture], prompt="a hat", mask=picture)
    assert b"a picture of" in base64.b64decode(edited.data[0].b64_json)
    assert client().images.create_variation(model=MODEL, image=picture).data[0].b64_json


def check_errors_in_forms():
    error = gate.raises(openai.NotFoundError, lambda: client().audio.transcriptions.create(model="nix", file=("a", b"x" * 2 * MIB)))
    assert error.code == "model_not_found", error.body
    narrow = client(gate.NARROW_KEY).audio.transcriptions
    error = gate.raises(openai.PermissionDeniedError, lambda: narrow.create(model=MODEL, file=("a", b"x" * 2 * MIB)))
    assert error.code == "model_not_allowed", error.body


def check_files():
    sdk, rival = client(), client(RIVAL)
    made = sdk.files.create(file=("lines.jsonl", b"{}\n" * (MIB // 2)), purpose="batch")
    assert made.id.startswith("file-tgt1"), made.id
    assert sdk.files.retrieve(made.id).id == made.id
    assert b"batch_req_1" in sdk.files.content(made.id).read()
    for ask in (rival.files.retrieve, rival.files.content, rival.files.delete):
        gate.raises(openai.NotFoundError, lambda: ask(made.id))
    assert made.id in [file.id for file in sdk.files.list()]
    assert made.id not in [file.id for file in rival.files.list()]
    assert sdk.files.delete(made.id).deleted
    assert made.id not in [file.id for file in sdk.files.list()]


def check_uploads():
    sdk, rival = client(), client(RIVAL)
    upload = sdk.uploads.create(bytes=11, filename="lines.jsonl", mime_type="application/jsonl", purpose="batch")
    assert upload.id.startswith("upload_tgt1")
    part = sdk.uploads.parts.create(upload.id, data=b"x" * (5 * MIB))
    assert part.upload_id == upload.id and part.id.startswith("part_tgt1")
    gate.raises(openai.NotFoundError, lambda: rival.uploads.parts.create(upload.id, data=b"x" * (5 * MIB)))
    gate.raises(openai.NotFoundError, lambda: rival.uploads.complete(upload.id, part_ids=[part.id]))
    gate.raises(openai.NotFoundError, lambda: rival.uploads.cancel(upload.id))
    whole = sdk.uploads.complete(upload.id, part_ids=[part.id])
    assert whole.id == upload.id and sdk.files.retrieve(whole.file.id).id == whole.file.id
    chunked = sdk.uploads.upload_file_chunked(file=b"y" * (2 * MIB), filename="b", bytes=2 * MIB, mime_type="text/plain", purpose="batch", part_size=MIB)
    assert chunked.file.id.startswith("file-tgt1")
    assert sdk.uploads.cancel(upload.id).status == "cancelled"


def check_batches():
    sdk, rival = client(), client(RIVAL)
    file = sdk.files.create(file=("lines.jsonl", b"{}\n"), purpose="batch")
    made = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert made.id.startswith("batch_tgt1") and made.input_file_id == file.id
    done = sdk.batches.retrieve(made.id)
    assert done.status == "completed" and done.usage.total_tokens == 42
    assert b"batch_req_1" in sdk.files.content(done.output_file_id).read()
    for ask in (rival.batches.retrieve, rival.batches.cancel):
        gate.raises(openai.NotFoundError, lambda: ask(made.id))
    gate.raises(openai.NotFoundError, lambda: rival.files.content(done.output_file_id))
    gate.raises(openai.NotFoundError, lambda: rival.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"))


def check_message_batches():
    sdk, rival = claude(), claude(RIVAL)
    params = {"model": "sandbox-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    made = sdk.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    assert made.id.startswith("msgbatch_tgt1")
    done = sdk.messages.batches.retrieve(made.id)
    assert done.processing_status == "ended" and "api.anthropic.com" not in done.results_url
    lines = list(sdk.messages.batches.results(made.id))
    assert [line.custom_id for line in lines] == ["a", "b", "c"] and lines[0].result.message.usage.output_tokens == 7
    for ask in (rival.messages.batches.retrieve, rival.messages.batches.cancel, rival.messages.batches.delete):
        gate.raises(anthropic.NotFoundError, lambda: ask(made.id))
    gate.raises(anthropic.NotFoundError, lambda: rival.get(done.results_url, cast_to=object))
    assert sdk.messages.batches.cancel(made.id).id == made.id and sdk.messages.batches.delete(made.id).id == made.id


def check_anthropic_files():
    sdk, rival = claude(), claude(RIVAL)
    made = sdk.beta.files.upload(file=("notes.txt", b"n" * (3 * MIB), "text/plain"))
    assert made.id.startswith("file_tgt1")
    assert sdk.beta.files.retrieve_metadata(made.id).id == made.id
    assert sdk.beta.files.download(made.id).read() == b"the file's content"
    source = {"type": "file", "file_id": made.id}
    asked = {"model": "anthropic/sandbox-small", "max_tokens": 9}
    asked["messages"] = [{"role": "user", "content": [{"type": "document", "source": source}, {"type": "text", "text": "hi"}]}]
    sdk.beta.messages.create(**asked, betas=["files-api-2025-04-14"])
    arrived = gate.arrivals()[-1]["body"].replace(" ", "")
    assert made.id not in arrived and '"file_id":"file_' in arrived
    gate.raises(anthropic.NotFoundError, lambda: rival.beta.messages.create(**asked, betas=["files-api-2025-04-14"]))
    for ask in (rival.beta.files.retrieve_metadata, rival.beta.files.download, rival.beta.files.delete):
        gate.raises(anthropic.NotFoundError, lambda: ask(made.id))
    assert sdk.beta.files.delete(made.id).id == made.id


gate.run(sys.modules[__name__])
