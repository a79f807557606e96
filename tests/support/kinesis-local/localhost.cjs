// kinesis-local listens on every address and has no option for that; servers of ours listen on this machine only.
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
  const options = typeof args[0] === "object" && args[0] !== null ? args[0] : { port: args[0] };
  const ready = args.find((arg) => typeof arg === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, ready);
};
