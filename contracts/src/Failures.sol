// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Fails in every way Solidity knows.
contract Failures {
    error Denied(address who, uint256 code, string why);
    error Bare();

    uint256[] private empty;

    function withReason(string calldata reason) external pure {
        revert(reason);
    }

    function withoutReason() external pure {
        revert();
    }

    function withCustomError(uint256 code, string calldata why) external view {
        revert Denied(msg.sender, code, why);
    }

    function withBareError() external pure {
        revert Bare();
    }

    function panicAssert() external pure {
        assert(false);
    }

    function panicOverflow(uint256 a, uint256 b) external pure returns (uint256) {
        return a + b;
    }

    function panicDivision(uint256 a, uint256 b) external pure returns (uint256) {
        return a / b;
    }

    function panicIndex(uint256 index) external view returns (uint256) {
        return empty[index];
    }

    function invalidOpcode() external pure {
        assembly {
            invalid()
        }
    }

    function burnAllGas() external pure {
        for (uint256 i = 0; ; ++i) {}
    }

    /// Succeeds, to show every kind of value on the way in and out.
    function echo(bool flag, int256 number, bytes calldata data, string calldata text, uint256[] calldata list)
        external
        pure
        returns (bool, int256, bytes memory, string memory, uint256[] memory)
    {
        return (flag, number, data, text, list);
    }
}
