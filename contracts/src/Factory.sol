// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {Counter} from "./Counter.sol";

/// Deploys counters to addresses known beforehand (CREATE2, EIP-1014).
contract Factory {
    event Deployed(address indexed counter, bytes32 indexed salt);

    /// Reverts without a reason where the address is taken.
    function deploy(bytes32 salt, uint256 start) external returns (Counter counter) {
        counter = new Counter{salt: salt}(start);
        emit Deployed(address(counter), salt);
    }

    function predict(bytes32 salt, uint256 start) external view returns (address) {
        bytes32 initcodeHash = keccak256(abi.encodePacked(type(Counter).creationCode, start));
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, initcodeHash));
        return address(uint160(uint256(hash)));
    }
}
