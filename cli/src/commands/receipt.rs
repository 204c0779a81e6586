//! `holotype receipt`.

use crate::arguments::{GlobalArguments, ReceiptAction, ReceiptArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::session;
use crate::units::size;
use holotype_repo::receipt::{Receipt, check_signed_by};

/// Does what is asked for.
pub fn run(global: &GlobalArguments, action: &ReceiptAction) -> Result {
    match action {
        ReceiptAction::Check(arguments) => check(global, arguments),
    }
}

fn check(global: &GlobalArguments, arguments: &ReceiptArguments) -> Result {
    let subject = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::from(holotype_repo::Error::io(&subject, "read the receipt", error)))?;
    let signer = match (arguments.signer, &global.repo) {
        (Some(signer), _) => Some(signer),
        (None, Some(_)) => Some(session::root_of_repository(global)?),
        (None, None) => None,
    };
    let receipt = match &signer {
        Some(signer) => check_signed_by(&text, signer)?,
        None => Receipt::check(&text)?,
    };
    if global.json {
        output::json(&receipt);
        return Ok(Exit::Done);
    }
    let mut table = Table::plain();
    table.value("image", format!("{}  {}", &receipt.image, receipt.name));
    table.value("target", &receipt.target);
    if !receipt.serial.is_empty() {
        table.value("serial", &receipt.serial);
    }
    table.value("restored", format!("{} ({} written)", size(receipt.bytes), size(receipt.written_bytes)));
    table.value("hash", &receipt.content_hash);
    table.value("read back", if receipt.read_back { "yes" } else { "no" });
    table.value("time", receipt.time.to_string());
    table.value("host", &receipt.host);
    table.value("program", &receipt.program);
    table.value("signer", receipt.signer.to_string());
    table.value(
        "signature",
        if signer.is_some() { "good, by the key that was asked for" } else { "good, by the key that it names" },
    );
    table.print();
    Ok(Exit::Done)
}
