// The openai SDK on Chat Completions: TASK URL MODEL, prints one JSON value.
import OpenAI from "openai";

const [task, url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-test", maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Weather in Paris and Rome?" }];
const look = {
  type: "function",
  function: {
    name: "look",
    description: "The weather of a place",
    // Strict, so that the helper parses arguments as soon as it takes a call for whole.
    strict: true,
    parameters: {
      type: "object", properties: { place: { type: "string" } }, required: ["place"], additionalProperties: false,
    },
  },
};

async function text() {
  const pieces = [];
  let finish = null;
  let usage = null;
  let ids = new Set();
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    ids.add(chunk.id);
    usage = chunk.usage ?? usage;
    if (chunk.choices.length === 0) continue;
    if (chunk.choices[0].delta.content) pieces.push(chunk.choices[0].delta.content);
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  return { text: pieces.join(""), pieces: pieces.length, finish, usage, ids: ids.size };
}

// As most programs are written: no usage, and the first choice of every chunk without a look.
async function naive() {
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  return { text };
}

// The helper adds the deltas up by itself and is strict about what it is given.
async function tools() {
  const done = [];
  const runner = client.chat.completions
    .stream({ model, messages, tools: [look] })
    .on("tool_calls.function.arguments.done", (event) => done.push([event.index, event.name, event.arguments]));
  const answer = await runner.finalChatCompletion();
  const { message, finish_reason: finish } = answer.choices[0];
  const calls = message.tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]);
  return { done, calls, text: message.content, finish };
}

// Calls the function, sends its result back, and reads what the model makes of it.
async function loop() {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model, messages, stream: true,
    tools: [{
      type: "function",
      function: {
        ...look.function,
        parse: JSON.parse,
        function: ({ place }) => { asked.push(place); return `sunny in ${place}`; },
      },
    }],
  });
  return { text: await runner.finalContent(), asked };
}

async function whole() {
  const answer = await client.chat.completions.create({ model, messages });
  return { text: answer.choices[0].message.content, usage: answer.usage };
}

async function error() {
  let text = "";
  try {
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
    }
  } catch (problem) {
    return { text, raised: told(problem) };
  }
  return { text, raised: null };
}

async function helperError() {
  const runner = client.chat.completions.stream({ model, messages });
  try {
    await runner.finalChatCompletion();
  } catch (problem) {
    return { raised: told(problem) };
  }
  return { raised: null };
}

const told = (problem) => ({
  name: problem.constructor.name,
  api: problem instanceof OpenAI.APIError,
  status: problem.status ?? null,
  type: problem.type ?? null,
  message: problem.message,
});

console.log(JSON.stringify(await { text, naive, tools, loop, whole, error, helperError }[task]()));
