// Anthropic's SDK on Messages: TASK URL MODEL, prints one JSON value.
import Anthropic from "@anthropic-ai/sdk";

const [task, url, model] = process.argv.slice(2);
const client = new Anthropic({ baseURL: url, apiKey: "sk-test", maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Weather in Paris and Rome?" }];
const look = {
  name: "look",
  description: "The weather of a place",
  input_schema: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
};
const shared = { model, messages, max_tokens: 4000 };

const read = (message) => ({
  text: message.content.filter((block) => block.type === "text").map((block) => block.text).join(""),
  thoughts: message.content.filter((block) => block.type === "thinking").map((block) => block.thinking),
  calls: message.content.filter((block) => block.type === "tool_use").map((block) => [block.id, block.name, block.input]),
  kinds: message.content.map((block) => block.type),
  stop: message.stop_reason,
  usage: [message.usage.input_tokens, message.usage.output_tokens],
});

async function accumulate(more) {
  const heard = { text: "", thinking: "", pieces: 0 };
  const stream = client.messages
    .stream({ ...shared, ...more })
    .on("text", (delta) => { heard.text += delta; heard.pieces += 1; })
    .on("thinking", (delta) => { heard.thinking += delta; });
  return { ...read(await stream.finalMessage()), heard };
}

const text = () => accumulate({});
const tools = () => accumulate({ tools: [look] });
const thinking = () => accumulate({ thinking: { type: "enabled", budget_tokens: 2000 } });

// Sends results back as the documentation shows it: the whole content, then one result for each call.
async function loop() {
  const turns = [...messages];
  for (let round = 0; round < 4; round += 1) {
    const answer = await client.messages.stream({ ...shared, messages: turns, tools: [look] }).finalMessage();
    if (answer.stop_reason !== "tool_use") return { ...read(answer), rounds: round };
    const results = answer.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: `sunny in ${block.input.place}` }));
    turns.push({ role: "assistant", content: answer.content }, { role: "user", content: results });
  }
  return null;
}

async function whole() {
  return read(await client.messages.create(shared));
}

async function error() {
  let text = "";
  try {
    for await (const event of await client.messages.create({ ...shared, stream: true })) {
      if (event.type === "content_block_delta") text += event.delta.text ?? "";
    }
  } catch (problem) {
    return { text, raised: told(problem) };
  }
  return { text, raised: null };
}

async function helperError() {
  try {
    await client.messages.stream({ ...shared, tools: [look] }).finalMessage();
  } catch (problem) {
    return { raised: told(problem) };
  }
  return { raised: null };
}

async function count() {
  return client.messages.countTokens({ model, messages });
}

async function models() {
  const ids = [];
  for await (const each of client.models.list()) ids.push([each.type, each.id]);
  return ids;
}

const told = (problem) => ({
  name: problem.constructor.name,
  api: problem instanceof Anthropic.APIError,
  status: problem.status ?? null,
  type: problem.type ?? problem.error?.error?.type ?? null,
  message: problem.message,
});

const tasks = { text, tools, thinking, loop, whole, error, helperError, count, models };
console.log(JSON.stringify(await tasks[task]()));
