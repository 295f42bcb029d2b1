// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// One number in slot 0, changed in public, and a till that takes wei.
contract Counter {
    uint256 public number;

    event Changed(address indexed by, uint256 from, uint256 to);

    constructor(uint256 start) payable {
        number = start;
    }

    function set(uint256 to) public {
        emit Changed(msg.sender, number, to);
        number = to;
    }

    function increment() external {
        set(number + 1);
    }

    /// Panics with 0x11 at zero.
    function decrement() external {
        set(number - 1);
    }

    function deposit() external payable returns (uint256 held) {
        return address(this).balance;
    }
}
