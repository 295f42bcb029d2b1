// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Verifies proofs out of an append-only Merkle log: the tree of RFC 9162, section 2.1, over keccak-256.
contract MerkleLog {
    /// What is proven is not so: the path is too long or too short, or leads elsewhere.
    error InvalidProof();

    /// The hash of an entry.
    function leafHash(bytes memory entry) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), entry));
    }

    /// The hash of a node above two others.
    function nodeHash(bytes32 left, bytes32 right) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// Reverts unless `path` proves that the entry with hash `leaf` is at `index` in the log of `size`
    /// entries under `root` (section 2.1.3.2).
    function verifyInclusion(bytes32 root, uint64 size, uint64 index, bytes32 leaf, bytes32[] calldata path)
        external
        pure
    {
        if (index >= size) revert InvalidProof();
        uint64 node = index;
        uint64 last = size - 1;
        bytes32 found = leaf;
        for (uint256 i = 0; i < path.length; i++) {
            if (last == 0) revert InvalidProof();
            if (node & 1 == 1 || node == last) {
                found = nodeHash(path[i], found);
                // The last node of a level goes up unpaired, to where it is a right one.
                while (node & 1 == 0 && node != 0) {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                found = nodeHash(found, path[i]);
            }
            node >>= 1;
            last >>= 1;
        }
        if (last != 0 || found != root) revert InvalidProof();
    }

    /// Reverts unless `path` proves that the log of `size` entries under `root` begins with that of
    /// `oldSize` entries under `oldRoot` (section 2.1.4.2). Everything begins with nothing and with itself;
    /// the path is empty then.
    function verifyConsistency(
        bytes32 oldRoot,
        uint64 oldSize,
        bytes32 root,
        uint64 size,
        bytes32[] calldata path
    ) external pure {
        if (oldSize > size) revert InvalidProof();
        if (oldSize == 0 || oldSize == size) {
            bytes32 known = oldSize == 0 ? keccak256("") : root;
            if (path.length != 0 || oldRoot != known) revert InvalidProof();
            return;
        }
        uint64 node = oldSize - 1;
        uint64 last = size - 1;
        // Up to the largest subtree that ends where the old log ends.
        while (node & 1 == 1) {
            node >>= 1;
            last >>= 1;
        }
        // If that is all of the old log, its root is where the path begins.
        uint256 used = 0;
        bytes32 found = oldRoot;
        if (oldSize & (oldSize - 1) != 0) {
            if (path.length == 0) revert InvalidProof();
            found = path[0];
            used = 1;
        }
        bytes32 foundOld = found;
        for (; used < path.length; used++) {
            if (last == 0) revert InvalidProof();
            if (node & 1 == 1 || node == last) {
                foundOld = nodeHash(path[used], foundOld);
                found = nodeHash(path[used], found);
                while (node & 1 == 0 && node != 0) {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                found = nodeHash(found, path[used]);
            }
            node >>= 1;
            last >>= 1;
        }
        if (last != 0 || foundOld != oldRoot || found != root) revert InvalidProof();
    }

    /// What a log signs for a head: EIP-191 over `keccak256("zvm tree head 1" ‖ chain id ‖ size ‖ time ‖ root)`,
    /// so that a wallet can do it.
    function headHash(uint64 chainId, uint64 size, uint64 timestamp, bytes32 root) public pure returns (bytes32) {
        bytes32 message = keccak256(abi.encodePacked("zvm tree head 1", chainId, size, timestamp, root));
        return keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", message));
    }

    /// Who signed a head. Reverts for signatures of nobody and for the upper half of the group (EIP-2).
    function headSigner(
        uint64 chainId,
        uint64 size,
        uint64 timestamp,
        bytes32 root,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external pure returns (address signer) {
        if (uint256(s) > 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0) revert InvalidProof();
        signer = ecrecover(headHash(chainId, size, timestamp, root), v, r, s);
        if (signer == address(0)) revert InvalidProof();
    }
}
