//! The match arms that both loops are made of.

/// The match over an opcode that both loops share. Loop-specific arms come first; `fault!` and
/// `exit!` are the loop's own macros for leaving it.
macro_rules! dispatch {
    (
        ($op:expr, $s:ident, $vm:ident, $frame:ident, $tracer:ident, $fault:ident, $exit:ident)
        { $($own:tt)* }
    ) => {{
        #[allow(unused_imports, reason = "for the arms of the loop")]
        use $crate::{CallKind, arith, opcode as op};
        use $crate::interpreter::{ops, word};

        /// An inlined body that can fault.
        macro_rules! inlined {
            ($body:expr) => {
                if let Err(fault) = $body {
                    std::hint::cold_path();
                    $fault!(fault);
                }
            };
        }
        /// A body behind a call: registers go by copy, so that they never need an address.
        macro_rules! called {
            (|$r:ident| $body:expr) => {{
                let mut copy = $s;
                let $r = &mut copy;
                let result = $body;
                $s = copy;
                match result {
                    Ok(value) => value,
                    Err(fault) => {
                        std::hint::cold_path();
                        $fault!(fault)
                    }
                }
            }};
        }
        match $op {
            $($own)*
            op::STOP => $exit!(Exit::Stop),
            op::EXP => called!(|r| ops::exp(r, $vm)),
            op::KECCAK256 => called!(|r| ops::keccak(r, $vm)),
            op::ADDRESS => $s.push(ops::from_address($frame.address)),
            op::BALANCE => called!(|r| ops::balance(r, $vm, $tracer)),
            op::ORIGIN => $s.push(ops::from_address($vm.tx.origin)),
            op::CALLER => $s.push(ops::from_address($frame.caller)),
            op::CALLVALUE => $s.push(word::from_u256($frame.value)),
            op::CALLDATALOAD => ops::calldataload(&mut $s, $vm, $frame),
            op::CALLDATASIZE => $s.push(word::from_u64($frame.input.len() as u64)),
            op::CALLDATACOPY => called!(|r| ops::calldatacopy(r, $vm, $frame)),
            op::CODESIZE => $s.push(word::from_u64($frame.code.len() as u64)),
            op::CODECOPY => called!(|r| ops::codecopy(r, $vm, $frame)),
            op::GASPRICE => $s.push(word::from_u256($vm.tx.gas_price)),
            op::EXTCODESIZE => called!(|r| ops::extcodesize(r, $vm, $tracer)),
            op::EXTCODECOPY => called!(|r| ops::extcodecopy(r, $vm, $tracer)),
            op::RETURNDATASIZE => $s.push(word::from_u64($vm.return_data.len() as u64)),
            op::RETURNDATACOPY => called!(|r| ops::returndatacopy(r, $vm)),
            op::EXTCODEHASH => called!(|r| ops::extcodehash(r, $vm, $tracer)),
            op::BLOCKHASH => called!(|r| ops::blockhash(r, $vm)),
            op::COINBASE => $s.push(ops::from_address($vm.block.beneficiary)),
            op::TIMESTAMP => $s.push(word::from_u64($vm.block.timestamp)),
            op::NUMBER => $s.push(word::from_u64($vm.block.number)),
            op::PREVRANDAO => $s.push(ops::prevrandao($vm)),
            op::GASLIMIT => $s.push(word::from_u64($vm.block.gas_limit)),
            op::CHAINID => $s.push(word::from_u64($vm.config.chain_id)),
            op::SELFBALANCE => called!(|r| ops::selfbalance(r, $vm, $frame)),
            op::BASEFEE => $s.push(word::from_u64($vm.block.base_fee)),
            op::BLOBHASH => ops::blobhash(&mut $s, $vm),
            op::BLOBBASEFEE => $s.push(word::from_u256($vm.tx.blob_base_fee)),
            op::MSTORE8 => inlined!(ops::mstore8(&mut $s, $vm)),
            op::SLOAD => called!(|r| ops::sload(r, $vm, $frame, $tracer)),
            op::SSTORE => called!(|r| ops::sstore(r, $vm, $frame, $tracer)),
            op::MSIZE => $s.push(word::from_u64($vm.memory.len() as u64)),
            op::GAS => $s.push(word::from_u64($s.gas)),
            op::TLOAD => called!(|r| ops::tload(r, $vm, $frame)),
            op::TSTORE => called!(|r| ops::tstore(r, $vm, $frame)),
            op::MCOPY => called!(|r| ops::mcopy(r, $vm)),
            op::LOG0 => called!(|r| ops::log(r, $vm, $frame, 0, $tracer)),
            op::LOG1 => called!(|r| ops::log(r, $vm, $frame, 1, $tracer)),
            op::LOG2 => called!(|r| ops::log(r, $vm, $frame, 2, $tracer)),
            op::LOG3 => called!(|r| ops::log(r, $vm, $frame, 3, $tracer)),
            op::LOG4 => called!(|r| ops::log(r, $vm, $frame, 4, $tracer)),
            op::CREATE => {
                $exit!(Exit::Create(called!(|r| ops::create(r, $vm, $frame, CallKind::Create))))
            }
            op::CREATE2 => {
                $exit!(Exit::Create(called!(|r| ops::create(r, $vm, $frame, CallKind::Create2))))
            }
            op::CALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::Call, $tracer))
            )),
            op::CALLCODE => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::CallCode, $tracer))
            )),
            op::DELEGATECALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::DelegateCall, $tracer))
            )),
            op::STATICCALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::StaticCall, $tracer))
            )),
            op::RETURN => $exit!(Exit::Return(called!(|r| ops::output(r, $vm)))),
            op::REVERT => $exit!(Exit::Revert(called!(|r| ops::output(r, $vm)))),
            op::SELFDESTRUCT => {
                called!(|r| ops::selfdestruct(r, $vm, $frame, $tracer));
                $exit!(Exit::SelfDestruct)
            }
            op::INVALID => $fault!(Fault::InvalidOpcode),
            // Where this could be reached, LLVM would check on every turn that the byte is one of 256.
            // SAFETY: the raw loop looks up its table first, where undefined opcodes fail the check;
            // decoding makes no other slots.
            _ => std::hint::unreachable_unchecked(),
        }
    }};
}
pub(super) use dispatch;
