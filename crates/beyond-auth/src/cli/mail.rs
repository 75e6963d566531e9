//! `mail`: looking at the words before anybody gets them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, write_out};
use crate::platform::mail::render::{RenderError, Rendered, Templates};

#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// Show a mail with example values, your own templates on top of the built-in ones
    #[command(after_help = "\
Examples:
  beyond-auth mail preview magic_link
  beyond-auth mail preview magic_link --locale de --out /tmp/mails    # open /tmp/mails/magic_link.de.html")]
    Preview(PreviewArgs),
}

#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// Which mail; `all` for every one
    name: String,
    /// In which language; where there is no such template, the English one
    #[arg(long, default_value = "en", value_name = "TAG")]
    locale: String,
    /// Write NAME.LOCALE.txt and NAME.LOCALE.html into this folder instead of showing the text
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What the mails call the product
    #[arg(long, default_value = "example.com", value_name = "NAME")]
    product_name: String,
    /// Folder with templates of your own, as for `serve`
    #[arg(long, env = "MAIL_TEMPLATES", value_name = "FOLDER")]
    mail_templates: Option<String>,
}

pub(super) fn run(command: &MailCommand) -> Result<(), Failure> {
    let MailCommand::Preview(args) = command;
    // An empty variable counts as one that is not set.
    let folder = args.mail_templates.as_deref().filter(|folder| !folder.is_empty());
    let templates =
        Templates::load(folder.map(Path::new)).map_err(|error| Failure::Usage(error.to_string()))?;
    let names: Vec<&str> = match args.name.as_str() {
        "all" => templates.names().collect(),
        name => vec![name],
    };
    for name in names {
        let mail =
            templates.preview(name, &args.locale, &args.product_name).map_err(|error| match error {
                RenderError::Unknown(_) => {
                    let known = templates.names().collect::<Vec<_>>().join(", ");
                    Failure::Usage(format!("{error}; there are {known}"))
                }
                _ => Failure::Usage(error.to_string()),
            })?;
        match &args.out {
            Some(folder) => write_files(folder, &format!("{name}.{}", args.locale), &mail)?,
            None => write_out(format!("Subject: {}\n\n{}\n", mail.subject, mail.text).as_bytes())?,
        }
    }
    Ok(())
}

fn write_files(folder: &Path, name: &str, mail: &Rendered) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::Runtime(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let text = format!("Subject: {}\n\n{}", mail.subject, mail.text);
    for (extension, content) in [("txt", text.as_str()), ("html", &mail.html)] {
        let path = folder.join(format!("{name}.{extension}"));
        std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
        write_out(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(())
}
