// The official SDKs of npm, unchanged, for `clients/npm_clients.py`: one request a line comes in, one answer a line goes out.

import readline from "node:readline";

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const EVENT = z.object({ title: z.string(), guests: z.array(z.string()), confirmed: z.boolean(), seats: z.number().int() });

const FINISHES = {
  tool_calls: "tools",
  tool_use: "tools",
  "tool-calls": "tools",
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
};

let heard = {};
const hearing = async (...call) => {
  const answer = await fetch(...call);
  heard = Object.fromEntries(answer.headers);
  return answer;
};

const openai = {
  connect: (url, key) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, fetch: hearing }),

  async ask(sdk, model, messages, { options, stream }) {
    if (!stream) {
      const answer = await sdk.chat.completions.create({ model, messages, ...options });
      return this.said(answer, answer.choices[0].message.reasoning_content, 0);
    }
    const events = sdk.chat.completions.stream({ model, messages, stream_options: { include_usage: true }, ...options });
    let [pieces, thought, details] = [0, "", []];
    for await (const chunk of events) {
      const delta = chunk.choices[0]?.delta ?? {};
      pieces += Boolean(delta.content || delta.tool_calls?.some((call) => call.function?.arguments));
      thought += delta.reasoning_content ?? "";
      details.push(...(delta.reasoning_details ?? []));
    }
    const said = this.said(await events.finalChatCompletion(), thought, pieces);
    return { ...said, details };
  },

  said(answer, thought, pieces) {
    const { message, finish_reason } = answer.choices[0];
    const calls = (message.tool_calls ?? []).map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]);
    const { parsed, ...turn } = message;
    return {
      text: message.content ?? "",
      calls,
      thought: thought ?? "",
      input_tokens: answer.usage.prompt_tokens,
      output_tokens: answer.usage.completion_tokens,
      pieces,
      turn: [turn],
      finish: FINISHES[finish_reason] ?? finish_reason,
    };
  },

  async parsed(sdk, model, messages) {
    const answer = await sdk.chat.completions.parse({ model, messages, response_format: zodResponseFormat(EVENT, "Event") });
    return answer.choices[0].message.parsed;
  },

  async leave(sdk, model, messages) {
    const stream = await sdk.chat.completions.create({ model, messages, stream: true });
    await leaveAfter(stream, 3);
  },
};

const anthropic = {
  connect: (url, key) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, fetch: hearing }),

  async ask(sdk, model, messages, { options, stream }) {
    const asked = { model, messages, max_tokens: 4000, ...options };
    let pieces = 0;
    let answer;
    if (stream) {
      const events = sdk.messages.stream(asked);
      for await (const event of events) {
        pieces += Boolean(event.type === "content_block_delta" && (event.delta.text || event.delta.partial_json));
      }
      answer = await events.finalMessage();
    } else {
      answer = await sdk.messages.create(asked);
    }
    const of = (type) => answer.content.filter((block) => block.type === type);
    const calls = of("tool_use").map((block) => [block.id, block.name, block.input]);
    return {
      text: of("text").map((block) => block.text).join(""),
      calls,
      thought: of("thinking").map((block) => block.thinking).join(""),
      input_tokens: answer.usage.input_tokens,
      output_tokens: answer.usage.output_tokens,
      pieces,
      turn: [{ role: "assistant", content: answer.content }],
      finish: FINISHES[answer.stop_reason] ?? answer.stop_reason,
    };
  },

  async parsed(sdk, model, messages) {
    const answer = await sdk.messages.parse({ model, messages, max_tokens: 4000, output_config: { format: zodOutputFormat(EVENT) } });
    return answer.parsed_output;
  },

  async leave(sdk, model, messages) {
    const stream = await sdk.messages.create({ model, messages, max_tokens: 4000, stream: true });
    await leaveAfter(stream, 5);
  },
};

// Vercel's AI SDK: one way to speak, with a provider of its own for each dialect.
const ai = (connect) => ({
  connect,

  async ask(sdk, model, messages, { tools, options, stream }) {
    const declared = Object.fromEntries(
      (tools ?? []).map(([name, description, schema]) => [name, tool({ description, inputSchema: jsonSchema(schema) })]),
    );
    const asked = { model: sdk(model), messages, tools: declared, maxRetries: 0, ...options };
    let pieces = 0;
    let answer;
    if (stream) {
      let failed;
      answer = streamText({ ...asked, onError: ({ error }) => (failed = error) });
      for await (const part of answer.fullStream) {
        pieces += part.type === "text-delta" || part.type === "tool-input-delta";
      }
      if (failed) throw failed;
    } else {
      answer = await generateText(asked);
    }
    const calls = (await answer.toolCalls).map((call) => [call.toolCallId, call.toolName, call.input]);
    const finish = await answer.finishReason;
    const usage = await answer.usage;
    return {
      text: await answer.text,
      calls,
      thought: (await answer.reasoningText) ?? "",
      input_tokens: usage.inputTokens,
      output_tokens: usage.outputTokens,
      pieces,
      turn: (await answer.response).messages,
      finish: FINISHES[finish] ?? finish,
    };
  },

  async parsed(sdk, model, messages) {
    return (await generateObject({ model: sdk(model), messages, schema: EVENT, maxRetries: 0 })).object;
  },

  async leave(sdk, model, messages) {
    const stop = new AbortController();
    const answer = streamText({ model: sdk(model), messages, maxRetries: 0, abortSignal: stop.signal, onError() {} });
    let left = 4;
    for await (const part of answer.fullStream) {
      if (part.type !== "abort" && --left === 0) stop.abort();
    }
  },
});

const SDKS = {
  openai,
  anthropic,
  "ai-openai": ai((url, key) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key, fetch: hearing })),
  "ai-anthropic": ai((url, key) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key, fetch: hearing })),
};

async function leaveAfter(stream, events) {
  for await (const _ of stream) {
    if (--events === 0) break;
  }
  stream.controller.abort();
}

async function answer({ sdk: name, url, key, verb, model, messages, ...rest }) {
  heard = {};
  const sdk = SDKS[name];
  try {
    const said = await sdk[verb](sdk.connect(url, key), model, messages, rest);
    return { said: said ?? null, heard };
  } catch (error) {
    const raised = error.lastError ?? error;
    return { error: { kind: raised.constructor.name, message: String(raised.message), status: raised.status ?? raised.statusCode }, heard };
  }
}

globalThis.AI_SDK_LOG_WARNINGS = false;
for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}
