"""Generated blocks through two implementations of `t8n`: zvm's, and that of the executable
specification of Ethereum (PyPI: ethereum-execution). `cargo xtask t8n-diff` runs this.

Usage: t8n_diff.py ZVM COUNT [SEED]

Each case is made from its own seed, which is printed where the two differ. How each words a
rejection is its own affair: which transactions are rejected must agree, and every root, hash,
receipt and account.
"""

import contextlib
import io
import json
import logging
import random
import subprocess
import sys

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools import create_parser
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache

FORKS = [
    "Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "ConstantinopleFix", "Istanbul",
    "Berlin", "London", "Paris", "Shanghai", "Cancun", "Prague", "Osaka",
]

# What the specification's tool calls a fork otherwise.
THEIR_NAMES = {"EIP150": "TangerineWhistle", "EIP158": "SpuriousDragon"}

SYSTEM_CONTRACTS = {
    # EIP-4788
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02": (
        "0x"
        "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f358015604957"
        "62001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f"
        "359062001fff015500"
    ),
    # EIP-2935
    "0x0000f90827f1c53a10cb7a02335b175320002935": (
        "0x"
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257"
        "611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    ),
    # EIP-7002
    "0x00000961ef480eb55e80d19ad83579a64c007002": (
        "0x"
        "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffffffffffffffff146101f457600182026001905f5b5f821115606857810190"
        "83028483029004916001019190604d565b909390049250505036603814608857366101f457346101f4575f52"
        "60205ff35b34106101f457600154600101600155600354806003026004013381556001015f35815560010160"
        "203590553360601b5f5260385f601437604c5fa0600101600355005b6003546002548082038060101160df57"
        "5060105b5f5b8181146101835782810160030260040181604c02815460601b81526014018160010154815260"
        "20019060020154807fffffffffffffffffffffffffffffffff00000000000000000000000000000000168252"
        "906010019060401c908160381c81600701538160301c81600601538160281c81600501538160201c81600401"
        "538160181c81600301538160101c81600201538160081c81600101535360010160e1565b9101809214610195"
        "57906002556101a0565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b01"
        "600290035b5f555f600155604c025ff35b5f5ffd"
    ),
    # EIP-7251
    "0x0000bbddc7ce488642fb579f8b00f3a590007251": (
        "0x"
        "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffffffffffffffff1461019a57600182026001905f5b5f821115606857810190"
        "83028483029004916001019190604d565b9093900492505050366060146088573661019a573461019a575f52"
        "60205ff35b341061019a57600154600101600155600354806004026004013381556001015f35815560010160"
        "2035815560010160403590553360601b5f5260605f60143760745fa0600101600355005b6003546002548082"
        "038060021160e7575060025b5f5b8181146101295782810160040260040181607402815460601b8152601401"
        "81600101548152602001816002015481526020019060030154905260010160e9565b910180921461013b5790"
        "600255610146565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffff141561017357505f5b6001546001828201116101885750505f61018e565b016001"
        "90035b5f555f6001556074025ff35b5f5ffd"
    ),
}

SECRET = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
CONTRACTS = [f"0x{0x1000 + i:040x}" for i in range(6)]
OTHERS = [f"0x{i:040x}" for i in range(1, 11)] + [f"0x{0xE0A0 + i:040x}" for i in range(3)]
# The accounts of the keys 1 to 3.
OTHERS += [
    "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf",
    "0x6813eb9362372eef6200f3b1dbc3f819671cba69",
]


def since(fork, other):
    return FORKS.index(fork) >= FORKS.index(other)


def push(number):
    digits = f"{number:x}"
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return bytes([0x5F + len(digits) // 2]) + bytes.fromhex(digits)


class Maker:
    """One case from one seed."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.fork = FORKS[seed % len(FORKS)]

    def word(self):
        return self.rng.choice([
            0, 1, 2, 31, 32, 33, 255, 2**255, 2**256 - 1, self.rng.getrandbits(8),
            self.rng.getrandbits(64), self.rng.getrandbits(256),
        ])

    def address(self):
        return self.rng.choice(CONTRACTS + CONTRACTS + OTHERS + [SENDER])

    def small(self):
        return self.rng.choice([0, 1, 2, 3, 31, 32, 64, 100])

    def hash(self):
        return f"0x{self.rng.getrandbits(256):064x}"

    def snippet(self):
        """Code that leaves the stack as it was."""
        rng = self.rng
        kind = rng.randrange(12)
        if kind < 3:
            return push(self.word()) + push(self.small()) + b"\x55"
        if kind == 3:
            return push(self.small()) + b"\x54" + push(self.small()) + b"\x55"
        if kind == 4:
            # An environment word into storage, whether or not the fork has the opcode.
            op = rng.choice([0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x3D, 0x41, 0x42, 0x43,
                             0x44, 0x45, 0x46, 0x47, 0x48, 0x4A, 0x58, 0x59, 0x5A])
            return bytes([op]) + push(self.small()) + b"\x55"
        if kind == 5:
            op = rng.choice([0x31, 0x3B, 0x3F, 0x40, 0x49])
            argument = self.word() % 12 if op in (0x40, 0x49) else int(self.address(), 16)
            return push(argument) + bytes([op]) + push(self.small()) + b"\x55"
        if kind == 6:
            topics = rng.randrange(5)
            code = b"".join(push(self.word()) for _ in range(topics))
            return code + push(self.small()) + push(self.small()) + bytes([0xA0 + topics])
        if kind == 7:
            op = rng.choice([0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0A, 0x0B, 0x10, 0x12,
                             0x14, 0x16, 0x18, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E])
            code = push(self.word()) + push(self.word()) + bytes([op])
            return code + push(self.small()) + b"\x55"
        if kind == 8:
            return push(self.word()) + push(self.small()) + b"\x52"
        if kind == 9:
            # A contract of one byte.
            init = push(self.word() % 256) + push(0) + b"\x53" + push(1) + push(0) + b"\xf3"
            code = push(int.from_bytes(init.ljust(32, b"\0"), "big")) + push(0) + b"\x52"
            has_salt = rng.random() < 0.3
            salt = push(self.small()) if has_salt else b""
            tail = push(len(init)) + push(0) + push(rng.choice([0, 0, 1]))
            return code + salt + tail + (b"\xf5" if has_salt else b"\xf0") + push(7) + b"\x55"
        if kind == 10 and rng.random() < 0.3:
            return push(int(self.address(), 16)) + b"\xff"
        op = rng.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
        value = push(rng.choice([0, 0, 1])) if op in (0xF1, 0xF2) else b""
        code = push(self.small()) + push(0) + push(self.small()) + push(0) + value
        code += push(int(self.address(), 16)) + push(rng.choice([2300, 30_000, 100_000]))
        return code + bytes([op]) + push(self.small()) + b"\x55"

    def code(self):
        rng = self.rng
        body = b"".join(self.snippet() for _ in range(rng.randrange(1, 9)))
        end = rng.choice([b"\x00", b"", push(32) + push(0) + b"\xf3",
                          push(32) + push(0) + b"\xfd", b"\xfe"])
        return "0x" + (body + end).hex()

    def alloc(self):
        rng = self.rng
        alloc = {SENDER: {"balance": hex(10 ** rng.choice([17, 18, 24])), "nonce": "0x1"}}
        for address in CONTRACTS:
            storage = {f"0x{self.small():064x}": hex(self.word() or 1)
                       for _ in range(rng.randrange(3))}
            alloc[address] = {"balance": hex(rng.choice([0, 1, 1000])), "nonce": "0x1",
                              "code": self.code(), "storage": storage}
        if since(self.fork, "Cancun"):
            for address, code in SYSTEM_CONTRACTS.items():
                alloc[address] = {"balance": "0x0", "nonce": "0x1", "code": code}
        for account in alloc.values():
            account.setdefault("code", "0x")
            account.setdefault("storage", {})
        return alloc

    def env(self):
        rng = self.rng
        number = rng.randrange(1, 300)
        env = {
            "currentCoinbase": rng.choice(["0x" + "c0" * 20, self.address()]),
            "currentGasLimit": hex(rng.choice([3_000_000, 30_000_000])),
            "currentNumber": hex(number),
            "currentTimestamp": hex(rng.randrange(1000, 2**32)),
            "blockHashes": {hex(i): self.hash() for i in range(max(0, number - 256), number)},
        }
        if since(self.fork, "Paris"):
            env["currentRandom"] = self.hash()
        else:
            env["currentDifficulty"] = hex(rng.randrange(131_072, 2**40))
        if since(self.fork, "London"):
            if rng.random() < 0.5:
                env["currentBaseFee"] = hex(rng.choice([7, 10**9]))
            else:
                self.parent(env)
        if since(self.fork, "Shanghai"):
            env["withdrawals"] = [
                {"index": hex(i), "validatorIndex": hex(i), "address": self.address(),
                 "amount": hex(rng.choice([0, 1, 10**9]))}
                for i in range(rng.randrange(3))
            ]
        if since(self.fork, "Cancun"):
            env["parentBeaconBlockRoot"] = self.hash()
            if rng.random() < 0.5:
                env["currentExcessBlobGas"] = hex(rng.choice([0, 131_072, 10_000_000]))
            else:
                env["parentExcessBlobGas"] = hex(131_072 * rng.randrange(40))
                env["parentBlobGasUsed"] = hex(131_072 * rng.randrange(7))
                # EIP-7918 looks at its base fee.
                self.parent(env)
        return env

    def parent(self, env):
        env["parentBaseFee"] = hex(self.rng.choice([7, 1000, 10**9]))
        env["parentGasUsed"] = hex(self.rng.randrange(int(env["currentGasLimit"], 16)))
        env["parentGasLimit"] = env["currentGasLimit"]

    def transaction(self, nonce):
        rng = self.rng
        tx = {
            "secretKey": SECRET,
            "nonce": hex(nonce + rng.choice([0] * 20 + [1, -1])),
            "gas": hex(rng.choice([20_000] + [60_000, 200_000, 400_000, 1_000_000] * 4)),
            "to": self.address(),
            "value": hex(rng.choice([0, 1, 1000] * 8 + [10**30])),
            "input": "0x" + rng.randbytes(rng.choice([0, 0, 4, 32, 68])).hex(),
            "chainId": "0x1",
        }
        if rng.random() < 0.2:
            tx["to"] = None
            tx["input"] = self.code()
        kinds = [0] + [1] * since(self.fork, "Berlin") + [2, 2] * since(self.fork, "London")
        kinds += [3] * since(self.fork, "Cancun") + [4, 4] * since(self.fork, "Prague")
        kind = rng.choice(kinds)
        tx["type"] = hex(kind)
        if kind > 0:
            tx["accessList"] = [
                {"address": self.address(), "storageKeys": [f"0x{self.small():064x}"]}
                for _ in range(rng.randrange(3))
            ]
        if kind < 2:
            tx["gasPrice"] = hex(rng.choice([1] + [10**9, 2 * 10**9] * 4))
        else:
            tx["maxFeePerGas"] = hex(rng.choice([6] + [10**9, 10**10] * 4))
            tx["maxPriorityFeePerGas"] = hex(rng.choice([0, 1, 10**9]))
        if kind == 3:
            tx["to"] = tx["to"] or CONTRACTS[0]
            tx["maxFeePerBlobGas"] = hex(rng.choice([1, 10**9]))
            version = rng.choice(["01"] * 9 + ["02"])
            tx["blobVersionedHashes"] = [
                f"0x{version}{rng.getrandbits(248):062x}" for _ in range(rng.randrange(1, 5))
            ]
        if kind == 4:
            tx["to"] = tx["to"] or CONTRACTS[0]
            tx["authorizationList"] = [self.authorization() for _ in range(rng.randrange(3))]
        return tx

    def authorization(self):
        """A wish of an account that holds nothing, signed (EIP-7702)."""
        rng = self.rng
        key = PrivateKey.from_int(rng.randrange(1, 4))
        chain_id, nonce, target = rng.choice([0, 1, 2]), rng.choice([0, 0, 1]), self.address()
        integer = [n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (chain_id, nonce)]
        signed = rlp.encode((integer[0], bytes.fromhex(target[2:]), integer[1]))
        signature = key.sign_recoverable(keccak256(b"\x05" + signed), hasher=None)
        return {
            "chainId": hex(chain_id), "address": target, "nonce": hex(nonce),
            "v": hex(signature[64]), "r": "0x" + signature[:32].hex().lstrip("0"),
            "s": "0x" + signature[32:64].hex().lstrip("0"),
        }

    def case(self):
        txs, nonce = [], 1
        for _ in range(self.rng.randrange(1, 6)):
            txs.append(self.transaction(nonce))
            nonce += self.rng.choice([0] + [1] * 9)
        return {"alloc": self.alloc(), "env": self.env(), "txs": txs}

    def arguments(self):
        reward = -1 if since(self.fork, "Paris") else self.rng.choice([-1, 0, 2 * 10**18])
        if reward == 0 and since(self.fork, "EIP158"):
            # Which leaves an empty account there, against EIP-161. No chain pays nothing.
            reward = 1
        return ["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin",
                "--output.alloc=stdout", "--output.result=stdout", "--output.body=stdout",
                "--state.chainid=1", f"--state.reward={reward}"]


def reference(parser, cache, arguments, fork, case):
    name = f"--state.fork={THEIR_NAMES.get(fork, fork)}"
    options, _ = parser.parse_known_args([*arguments, name])
    out = io.StringIO()
    T8N(options, out, io.StringIO(json.dumps(case)), cache).run()
    return json.loads(out.getvalue())


def ours(zvm, arguments, fork, case):
    run = subprocess.run([zvm, *arguments, f"--state.fork={fork}"], input=json.dumps(case),
                         capture_output=True, text=True)
    return json.loads(run.stdout) if run.returncode == 0 else {"failed": run.stderr}


def number(text):
    return int(text, 16) if text and text != "0x" else 0


def accounts(alloc):
    return {
        address.lower(): (
            number(account.get("balance")), number(account.get("nonce")),
            account.get("code", "0x"),
            {number(slot): number(word) for slot, word in account.get("storage", {}).items()
             if number(word)},
        )
        for address, account in alloc.items()
    }


def outcome(receipt):
    if "succeeded" in receipt:
        return receipt["succeeded"]
    if "post_state" in receipt:
        return receipt["post_state"]
    return receipt["root"] if receipt["root"] != "0x" else number(receipt["status"]) == 1


def canonical(answer):
    """What must agree, in one form."""
    if "failed" in answer:
        return answer
    result = answer["result"]
    hashes = ["stateRoot", "txRoot", "receiptsRoot", "withdrawalsRoot", "logsHash", "logsBloom",
              "requestsHash", "requests"]
    numbers = ["gasUsed", "currentDifficulty", "currentBaseFee", "currentExcessBlobGas"]
    said = {field: result.get(field) for field in hashes}
    said |= {field: number(result.get(field)) for field in numbers}
    said["rejected"] = sorted(entry["index"] for entry in result.get("rejected") or [])
    said["receipts"] = [
        {
            "hash": receipt["transactionHash"],
            "gas": number(receipt["cumulativeGasUsed"]),
            "bloom": receipt.get("bloom", receipt.get("logsBloom")),
            "outcome": outcome(receipt),
            "logs": [[log["address"].lower(), log["topics"], log["data"]]
                     for log in receipt["logs"]],
        }
        for receipt in result["receipts"]
    ]
    said["alloc"] = accounts(answer["alloc"])
    return said


def expected(parser, cache, arguments, fork, case):
    """What the specification says.

    Its tool leaves rejected transactions in the trie of transactions, and their places empty in
    that of receipts; geth's does not, and no block can have either. So these two roots are asked
    for again without them.
    """
    said = canonical(reference(parser, cache, arguments, fork, case))
    if said["rejected"]:
        kept = [tx for index, tx in enumerate(case["txs"]) if index not in said["rejected"]]
        again = canonical(reference(parser, cache, arguments, fork, case | {"txs": kept}))
        assert not again["rejected"] and again["stateRoot"] == said["stateRoot"]
        said |= {root: again[root] for root in ("txRoot", "receiptsRoot")}
    return said


def main():
    zvm, count = sys.argv[1], int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    logging.disable(logging.CRITICAL)
    parser = create_parser()
    included = rejected = different = 0
    with ForkCache() as cache:
        for seed in range(first, first + count):
            maker = Maker(seed)
            case, arguments = maker.case(), maker.arguments()
            with contextlib.redirect_stderr(io.StringIO()):
                theirs = expected(parser, cache, arguments, maker.fork, case)
            mine = canonical(ours(zvm, arguments, maker.fork, case))
            included += len(theirs["receipts"])
            rejected += len(theirs["rejected"])
            if theirs == mine:
                continue
            different += 1
            print(f"seed {seed}, {maker.fork}:")
            if "failed" in mine:
                print(f"  failed: {mine['failed']}")
                continue
            for field in theirs:
                if field != "alloc" and theirs[field] != mine[field]:
                    print(f"  {field}: ours {mine[field]}, expected {theirs[field]}")
            for address in sorted(theirs["alloc"].keys() | mine["alloc"].keys()):
                found, wanted = (said["alloc"].get(address) for said in (mine, theirs))
                if found != wanted:
                    print(f"  {address}: ours {found}, expected {wanted}")
    print(json.dumps({"cases": count, "different": different, "transactions": included,
                      "rejected": rejected}))
    return 1 if different or not included else 0


if __name__ == "__main__":
    sys.exit(main())
