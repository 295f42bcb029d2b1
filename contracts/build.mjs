// Compiles src/*.sol to artifacts/*.json. Usage: npm install && npm run build (or: npm run check).
//
// Only the version pinned in package.json is accepted, so the same sources give the same bytes.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const COMPILER = "0.8.30+commit.73712a01.Emscripten.clang";
const settings = {
  // No PUSH0 and no MCOPY: the artifacts run on every hard fork from Constantinople on.
  evmVersion: "london",
  optimizer: { enabled: true, runs: 200 },
  // The metadata hash would change the code with every comment.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const home = import.meta.dirname;
const solc = createRequire(join(home, "package.json"))("solc");
if (solc.version() !== COMPILER) {
  throw new Error(`solc ${solc.version()}, expected ${COMPILER}`);
}

const names = readdirSync(join(home, "src")).filter((name) => name.endsWith(".sol")).sort();
const sources = Object.fromEntries(
  names.map((name) => [name, { content: readFileSync(join(home, "src", name), "utf8") }]),
);
const input = JSON.stringify({ language: "Solidity", sources, settings });
const output = JSON.parse(solc.compile(input));
for (const { severity, formattedMessage } of output.errors ?? []) {
  console.error(formattedMessage);
  if (severity === "error") process.exit(1);
}

let stale = 0;
for (const [sourceName, contracts] of Object.entries(output.contracts)) {
  for (const [contractName, { abi, evm }] of Object.entries(contracts)) {
    const artifact = {
      contractName,
      sourceName: `src/${sourceName}`,
      compiler: { version: COMPILER, evmVersion: settings.evmVersion, optimizer: settings.optimizer },
      abi,
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
    };
    const path = join(home, "artifacts", `${contractName}.json`);
    const text = `${JSON.stringify(artifact, null, 2)}\n`;
    if (process.argv.includes("--check")) {
      if (readFileSync(path, "utf8") !== text) {
        console.error(`${path}: not what ${artifact.sourceName} compiles to`);
        stale += 1;
      }
    } else {
      writeFileSync(path, text);
      console.log(`${contractName}: ${evm.deployedBytecode.object.length / 2} bytes`);
    }
  }
}
process.exit(stale === 0 ? 0 : 1);
