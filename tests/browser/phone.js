// A WebRTC phone of another make: SIP.js over a secure WebSocket, told what to do by the test that serves this page, and
// telling it what happens. What it hears is sent there as 16-bit samples at 48 kHz.
import { Inviter, Registerer, SessionState, UserAgent, Web } from "/sip.js/lib/index.js";

const setup = await (await fetch("/setup")).json();
const tell = (event, more = {}) => fetch("/event", { method: "POST", body: JSON.stringify({ event, ...more }) });
window.addEventListener("error", (problem) => tell("error", { detail: String(problem.message) }));
window.addEventListener("unhandledrejection", (problem) => tell("error", { detail: String(problem.reason) }));

let session = null;
let ears = null;

/** Samples of what the other end says, in order. */
async function listen(stream) {
  const remote = document.getElementById("remote");
  remote.srcObject = stream;
  await remote.play();
  const context = new AudioContext({ sampleRate: 48000 });
  const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process([[channel]]) { if (channel) this.port.postMessage(channel.slice()); return true; } });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const tap = new AudioWorkletNode(context, "tap");
  const pieces = [];
  tap.port.onmessage = ({ data }) => pieces.push(data);
  context.createMediaStreamSource(stream).connect(tap).connect(context.destination);
  ears = { context, pieces };
}

async function tellHeard() {
  if (!ears) return;
  const { context, pieces } = ears;
  ears = null;
  await context.close();
  const samples = new Int16Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) for (const value of piece) samples[at++] = Math.max(-1, Math.min(1, value)) * 32767;
  await fetch("/heard", { method: "POST", body: samples.buffer });
}

function follow(call) {
  session = call;
  call.stateChange.addListener(async (state) => {
    if (state === SessionState.Established) {
      const connection = call.sessionDescriptionHandler.peerConnection;
      const receiver = connection.getReceivers().find(({ track }) => track?.kind === "audio");
      await listen(new MediaStream([receiver.track]));
      tell("established", { codec: /a=rtpmap:\d+ ([^/]+)/.exec(connection.remoteDescription.sdp)?.[1] });
      if (setup.trickles) trickle(call, connection.localDescription.sdp);
    }
    if (state === SessionState.Terminated) {
      await tellHeard();
      tell("terminated");
      session = null;
    }
  });
}

const media = { constraints: { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false } };
const describing = { sessionDescriptionHandlerOptions: media };

/** Only this codec is offered, and keys. */
function onlyCodec(description) {
  if (!setup.codec) return Promise.resolve(description);
  const numbers = [{ PCMU: "0", PCMA: "8", G722: "9" }[setup.codec], /^a=rtpmap:(\d+) telephone-event\/8000/m.exec(description.sdp)[1]];
  const sdp = description.sdp
    .replace(/^(m=audio \d+ \S+) .*$/m, `$1 ${numbers.join(" ")}`)
    .split("\r\n")
    .filter((line) => !/^a=(rtpmap|fmtp|rtcp-fb):/.test(line) || numbers.some((number) => line.includes(`:${number} `)));
  return Promise.resolve({ ...description, sdp: sdp.join("\r\n") });
}

const usual = Web.defaultSessionDescriptionHandlerFactory();

/** Describes itself without its addresses, which come later (RFC 8840 section 4.3.1). */
function trickling(call, options) {
  const handler = usual(call, options);
  const describe = handler.getDescription.bind(handler);
  handler.getDescription = async (...wishes) => {
    const description = await describe(...wishes);
    const lines = description.body.split("\r\n").filter((line) => !/^a=(candidate|end-of-candidates)/.test(line));
    return { ...description, body: lines.join("\r\n") };
  };
  return handler;
}

/** Tells the addresses. */
function trickle(call, sdp) {
  const lines = sdp.split("\r\n");
  const candidates = lines.filter((line) => line.startsWith("a=candidate"));
  const credentials = lines.filter((line) => /^a=(ice-ufrag|ice-pwd)/.test(line));
  const media = lines.filter((line) => /^(m=audio|a=mid)/.test(line));
  const content = [...credentials, ...media, ...candidates, "a=end-of-candidates", ""].join("\r\n");
  const body = { contentType: "application/trickle-ice-sdpfrag", contentDisposition: "info-package", content };
  call.info({
    requestOptions: { body, extraHeaders: ["Info-Package: trickle-ice"] },
    requestDelegate: {
      onAccept: () => tell("trickled", { candidates: candidates.length }),
      onReject: ({ message }) => tell("error", { detail: `INFO: ${message.statusCode}` }),
    },
  });
}

const agent = new UserAgent({
  uri: UserAgent.makeURI(setup.uri),
  authorizationUsername: setup.username,
  authorizationPassword: setup.password,
  transportOptions: { server: setup.server },
  sessionDescriptionHandlerFactory: setup.trickles ? trickling : usual,
  sessionDescriptionHandlerFactoryOptions: { iceGatheringTimeout: 500, peerConnectionConfiguration: { iceServers: [] } },
  delegate: {
    onInvite(invitation) {
      follow(invitation);
      tell("invited", { from: invitation.remoteIdentity.uri.user });
    },
  },
});
agent.stateChange.addListener((state) => tell("agent", { state }));

const orders = {
  async call({ target }) {
    const inviter = new Inviter(agent, UserAgent.makeURI(target), {
      ...describing,
      sessionDescriptionHandlerModifiers: [onlyCodec],
    });
    follow(inviter);
    await inviter.invite({ requestDelegate: { onReject: ({ message }) => tell("rejected", { status: message.statusCode }) } });
  },
  answer: () => session.accept(describing),
  hang_up: () => (session?.state === SessionState.Established ? session.bye() : session?.cancel?.()),
  /** Presses a key once something is heard, as a person does. */
  async digit({ digit }) {
    while (!ears?.pieces.some((piece) => piece.some((value) => Math.abs(value) > 0.02))) await new Promise((done) => setTimeout(done, 50));
    if (!session.sessionDescriptionHandler.sendDtmf(digit, { duration: 120 })) tell("error", { detail: "no key was sent" });
  },
  async hold({ on }) {
    session.sessionDescriptionHandlerOptionsReInvite = { ...media, hold: on };
    await session.invite({ requestDelegate: { onAccept: () => tell("held", { on }), onReject: () => tell("error", { detail: "hold" }) } });
  },
};

await agent.start();
const registerer = new Registerer(agent, { expires: 120 });
registerer.stateChange.addListener((state) => tell("registration", { state }));
await registerer.register({ requestDelegate: { onReject: ({ message }) => tell("error", { detail: `${message.statusCode}` }) } });

for (;;) {
  const order = await (await fetch("/order")).json();
  try {
    await orders[order.do](order);
  } catch (problem) {
    tell("error", { detail: String(problem) });
  }
}
