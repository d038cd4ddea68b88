// A transform of asc. The exports of sigbox.ts get the names of the contract, which AssemblyScript cannot write. `abort` and
// `console` become those of sigbox.ts, so that what they say are lines of the log.
const exported = { describe: "describe", start: "start", getSignal: "get-signal" };

export default class {
  afterInitialize(program) {
    for (const [name, element] of [...program.elementsByName]) {
      if (/(^|\/)sigbox\/aborted$/.test(name)) program.elementsByName.set("abort", element);
      if (/(^|\/)sigbox\/lines$/.test(name)) program.elementsByName.set("console", element);
    }
  }

  afterCompile(module) {
    for (const [from, to] of Object.entries(exported)) {
      const found = module.getExport(from);
      if (!found) throw new Error('add this line: export { cabi_realloc, describe, start, getSignal } from "./sigbox";');
      const { value } = this.binaryen.getExportInfo(found);
      module.removeExport(from);
      module.addFunctionExport(value, `sigbox:strategy/strategy@0.1.0#${to}`);
    }
  }
}
