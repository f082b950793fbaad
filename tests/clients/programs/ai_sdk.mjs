// The AI SDK, which parses every data line as JSON, in each dialect: DIALECT-TASK URL MODEL, prints one JSON value.
import { stepCountIs, streamText, generateText, jsonSchema, tool } from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

// It would warn on standard output that it does not know the model.
globalThis.AI_SDK_LOG_WARNINGS = false;
const [which, url, name] = process.argv.slice(2);
const [dialect, task] = which.split("-");
const settings = { baseURL: `${url}/v1`, apiKey: "sk-test", name: "tidegate" };
const model = {
  chat: () => createOpenAICompatible({ ...settings, includeUsage: true })(name),
  messages: () => createAnthropic(settings)(name),
  responses: () => createOpenAI(settings).responses(name),
}[dialect]();
const prompt = "Weather in Paris and Rome?";
const shared = { model, prompt, maxRetries: 0, maxOutputTokens: 4000 };

async function parts(options) {
  const seen = { text: "", reasoning: "", errors: [], asked: [], finish: null, usage: null, steps: 0, pieces: 0 };
  const answer = streamText({ ...shared, ...options, onError: () => {} });
  for await (const part of answer.fullStream) {
    if (part.type === "text-delta") {
      seen.text += part.text;
      seen.pieces += 1;
    } else if (part.type === "reasoning-delta") {
      seen.reasoning += part.text;
    } else if (part.type === "tool-call") {
      seen.asked.push([part.toolName, part.input]);
    } else if (part.type === "error") {
      seen.errors.push({
        name: part.error?.name ?? null,
        status: part.error?.statusCode ?? null,
        message: part.error?.message ?? JSON.stringify(part.error),
      });
    } else if (part.type === "finish-step") {
      seen.steps += 1;
    } else if (part.type === "finish") {
      seen.finish = part.finishReason;
      seen.usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
    }
  }
  return seen;
}

const text = () => parts({});

// Executes what is called and sends the results back, until the model answers in text.
const tools = () => parts({
  stopWhen: stepCountIs(4),
  tools: {
    look: tool({
      description: "The weather of a place",
      inputSchema: jsonSchema({
        type: "object", properties: { place: { type: "string" } }, required: ["place"], additionalProperties: false,
      }),
      execute: async ({ place }) => `sunny in ${place}`,
    }),
  },
});

async function whole() {
  const answer = await generateText(shared);
  return { text: answer.text, finish: answer.finishReason };
}

console.log(JSON.stringify(await { text, tools, whole }[task]()));
