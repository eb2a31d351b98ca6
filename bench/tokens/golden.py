#!/usr/bin/env python3
"""Writes the counts that tests compare with: dataplane/dialect/golden/tokens/{counts,languages}.jsonl.

    bench/tokens/golden.py NAME=FILE...      (as for truth.py)

All texts are made here. counts: what is hard to cut into pieces, with what Python's tiktoken counts. languages: a
paragraph of each kind of content, with what every tokenizer counts.
"""

import json
import pathlib
import random
import sys

from truth import tokenizers_of

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "dataplane/dialect/golden/tokens"

HARD = [
    "", " ", "  ", "\n", "\r\n", " \n", "\n ", "\n\n  \n", "a", "\ta", "\t\ta", "a\u00a0b", "a\u3000\u3000b", "\u0085",
    "hello, world", "Hello World", "  leading and trailing  ", "don't DON'T Don'T it'S we'll WE'LL I'm you've they'RE he'd",
    "'s 'll 'sample it'ſ '\u017f x'", "rock'n'roll 'tis o'clock", "HTMLElement getHTTPResponse XMLHttpRequest2 iOS ABCd",
    "ǅabc ǅ ABC日DEF 日A Aあa あA", "e\u0301te\u0301 \u0301 (\u0301 A\u0301B a\u0301b \u0301A", "ﬁne Straße ŒUVRE ÉTÉ Äpfel",
    "0 12 123 1234 12345678 3.14159 1,234,567.89 0xDEADBEEF ½ ² Ⅷ ٣٤٥٦ १२३४", "a1b22c333d4444", "v1.2.3-rc.4+build.5",
    "foo_bar __init__ snake_case_name SCREAMING_CASE kebab-case", "((((foo)))) [[bar]] {{baz}} <<<>>> ||| &&& !!! ???",
    "https://example.com/a/b?c=d&e=f#g", "/usr/share/doc//x/\n/y", "// comment\n//\n/\n\n/x", "-----\n=====\n*****\r\n#####",
    "if (x == 1) {\n    return y;\n}\n", "def f(x):\n\treturn [i**2 for i in range(x) if i % 2]\n\n\n", "{\"a\":[1,2,{\"b\":null}]}",
    "日本語のテキストを数えます。漢字、ひらがな、カタカナ。", "中文文本的标记计数应当准确。", "한국어 텍스트의 토큰 수를 셉니다.",
    "Подсчёт токенов в русском тексте.", "عدد الرموز في النص العربي", "ספירת אסימונים בעברית", "हिन्दी पाठ में टोकन गिनना",
    "การนับโทเค็นในภาษาไทย", "Ελληνικό κείμενο", "👍🏽👩‍👩‍👧‍👦🇩🇪🇫🇷 😀😀😀", "a👍b", "\u200b\u200d\ufeff", "\u0000\u0001\u001b[0m\u007f",
    "<|endoftext|> <|im_start|>", "x" * 300, "ab" * 150, " " * 300, "\n" * 300, "=" * 300, "日本語" * 90, "9" * 300,
    "A" * 300, "aB" * 150, "\u0e01\u0e32\u0e23" * 60, "'" * 300, " a" * 300, "é" * 140,
]
# A piece beyond the length that `split` cuts at may be counted apart; the test allows for it.
LETTERS = [
    "a", "b", "the", "ing", "A", "B", "Z", "é", "É", "ß", "ǅ", "ʰ", "日", "あ", "ア", "한", "я", "Я", "ا", "ש", "न", "\u093f",
    "\u0301", "0", "1", "23", "٣", "½", " ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", ".", ",", "'", "\"",
    "'s", "'LL", "'re", "'ſ", "-", "_", "/", "//", "(", ")", "{", "}", ";", "\n/", "😀", "\u200d", "\ufe0f", "€", "。", "…", "\0",
]

LANGUAGES = {
    "prose": "The gateway reads a request once, decides which provider should answer it, and writes it again in that "
    "provider's own words. Whatever a caller asked for is either carried over or refused; nothing is dropped in silence. "
    "When the answer comes, it is relayed as it arrives, and what it used is written down exactly once.",
    "dialogue": "\"You're late,\" she said, without looking up. \"I know. The trains weren't running, so I walked.\" He put "
    "two wet gloves on the table. \"Didn't you get my message?\" \"Which one? There were seven.\"",
    "code": "fn settle(&mut self, used: &Usage, now: Tick) -> Result<Receipt, Failure> {\n    let price = self.prices.of(used)?;\n"
    "    // Before the reply goes out: a client that retries at once must find its tokens.\n    self.balance.charge(price)?;\n"
    "    Ok(Receipt { price, at: now })\n}\n\ndef mean(values):\n    return sum(values) / len(values) if values else 0.0\n",
    "json": json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
                        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {
                            "type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
                            "required": ["city"]}}}], "temperature": 0.2, "max_tokens": 512, "stream": True}),
    "german": "Das Gateway liest jede Anfrage genau einmal, entscheidet, welcher Anbieter sie beantworten soll, und schreibt sie "
    "in dessen eigenen Worten neu. Größere Änderungen an der Konfiguration werden geprüft, bevor sie überall gelten.",
    "french": "La passerelle lit chaque requête une seule fois, choisit le fournisseur qui doit y répondre et la réécrit dans "
    "ses propres termes. Rien n'est perdu en silence : ce qui ne peut être transmis est refusé clairement.",
    "russian": "Шлюз читает каждый запрос один раз, решает, какой поставщик должен на него ответить, и переписывает его "
    "собственными словами этого поставщика. Ничто не теряется молча: всё, что нельзя передать, отклоняется.",
    "japanese": "ゲートウェイはリクエストを一度だけ読み、どのプロバイダーが答えるべきかを決め、そのプロバイダーの言葉で書き直します。"
    "黙って失われるものはありません。伝えられないものは、はっきりと断られます。",
    "chinese": "网关只读取一次请求，决定由哪个提供商来回答，然后用该提供商自己的格式重新书写。任何内容都不会悄悄丢失：无法传递的内容会被明确拒绝。",
    "korean": "게이트웨이는 요청을 한 번만 읽고, 어떤 제공자가 답할지 결정한 다음, 그 제공자의 말로 다시 씁니다. "
    "조용히 사라지는 것은 없습니다. 전달할 수 없는 것은 분명하게 거절됩니다.",
    "arabic": "تقرأ البوابة كل طلب مرة واحدة، وتقرر أي مزود يجب أن يجيب عليه، ثم تكتبه مرة أخرى بكلمات ذلك المزود.",
    "hindi": "गेटवे हर अनुरोध को एक बार पढ़ता है, तय करता है कि कौन सा प्रदाता उत्तर देगा, और उसे उसी प्रदाता के शब्दों में फिर से लिखता है।",
    "log": "".join(f"2026-11-2{day}T0{day}:15:0{day}Z INFO request id=7f3a9c0{day} status=200 first_byte_ms=14{day} bytes=81{day}2\n"
                   for day in range(5)),
}


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tokenizers = tokenizers_of(sys.argv[1:])
    chance = random.Random(7)
    texts = HARD + ["".join(chance.choices(LETTERS, k=chance.randint(1, 24))) for _ in range(1_200)]
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with open(GOLDEN / "counts.jsonl", "w", encoding="utf-8") as out:
        for text in texts:
            counts = {name: tokenizers[name](text) for name in ("o200k", "cl100k")}
            out.write(json.dumps({"text": text, **counts}) + "\n")
    with open(GOLDEN / "languages.jsonl", "w", encoding="utf-8") as out:
        for kind, text in LANGUAGES.items():
            counts = {name: count(text) for name, count in tokenizers.items()}
            out.write(json.dumps({"kind": kind, "text": text, "counts": counts}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
