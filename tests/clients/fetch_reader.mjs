// The smallest reader that resumes: fetch, split at blank lines, remember the last id, come back after `retry`.
let position = "";
let retry = 1000;
for (;;) {
  try {
    const headers = position ? { "Last-Event-ID": position } : {};
    const response = await fetch(process.argv[2], { headers });
    let text = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + part).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        position = fields.id ?? position;
        retry = Number(fields.retry ?? retry);
        if (fields.event === "room-message") {
          console.log(JSON.stringify({ id: position, message: JSON.parse(fields.data).message }));
        }
      }
    }
  } catch {} // cut: what was not whole comes again
  await new Promise((resolve) => setTimeout(resolve, retry));
}
