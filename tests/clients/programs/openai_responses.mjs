// The openai SDK on Responses: TASK URL MODEL, prints one JSON value.
import OpenAI from "openai";

const [task, url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-test", maxRetries: 0, timeout: 30_000 });
const input = "Weather in Paris and Rome?";
const look = {
  type: "function",
  name: "look",
  description: "The weather of a place",
  strict: false,
  parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
};

const read = (response) => ({
  text: response.output_text,
  calls: response.output
    .filter((item) => item.type === "function_call")
    .map((item) => [item.call_id, item.name, item.arguments]),
  kinds: response.output.map((item) => item.type),
  status: response.status,
  usage: response.usage && [response.usage.input_tokens, response.usage.output_tokens],
});

// The raw events, whose numbers must be dense.
async function text() {
  let text = "";
  let pieces = 0;
  let last = {};
  const numbers = [];
  const kinds = [];
  for await (const event of await client.responses.create({ model, input, stream: true })) {
    numbers.push(event.sequence_number);
    if (kinds.at(-1) !== event.type) kinds.push(event.type);
    if (event.type === "response.output_text.delta") {
      text += event.delta;
      pieces += 1;
    }
    last = event;
  }
  const dense = numbers.every((each, at) => each === at);
  const folded = last.response.output.flatMap((item) => item.content ?? []).map((part) => part.text).join("");
  return { ...read(last.response), text, folded, pieces, kinds, dense };
}

// The helper adds up by itself and throws at any gap in the life of an item.
async function helper() {
  const heard = { text: "" };
  const stream = client.responses
    .stream({ model, input, tools: [look] })
    .on("response.output_text.delta", (event) => { heard.text += event.delta; });
  return { ...read(await stream.finalResponse()), heard };
}

// Sends results back with the items that they answer.
async function loop() {
  const items = [{ role: "user", content: input }];
  for (let round = 0; round < 4; round += 1) {
    const answer = await client.responses.stream({ model, input: items, tools: [look], store: false }).finalResponse();
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return { ...read(answer), rounds: round };
    items.push(...answer.output.map(({ parsed_arguments, parsed, ...item }) => item));
    for (const call of calls) {
      const { place } = JSON.parse(call.arguments);
      items.push({ type: "function_call_output", call_id: call.call_id, output: `sunny in ${place}` });
    }
  }
  return null;
}

async function whole() {
  return read(await client.responses.create({ model, input }));
}

async function error() {
  const kinds = [];
  let text = "";
  let told = null;
  try {
    for await (const event of await client.responses.create({ model, input, stream: true })) {
      kinds.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.failed") told = event.response.error;
      if (event.type === "error") told = event;
    }
  } catch (problem) {
    return { text, kinds, told, raised: raised(problem) };
  }
  return { text, kinds, told, raised: null };
}

async function helperError() {
  try {
    return { raised: null, ...read(await client.responses.stream({ model, input, tools: [look] }).finalResponse()) };
  } catch (problem) {
    return { raised: raised(problem) };
  }
}

const raised = (problem) => ({
  name: problem.constructor.name,
  status: problem.status ?? null,
  type: problem.type ?? null,
  message: problem.message,
});

console.log(JSON.stringify(await { text, helper, loop, whole, error, helperError }[task]()));
