//! Lists the recipes, and runs them: `cargo run -p ipc-examples`, `cargo run -p ipc-examples -- run NAME`.

use clap::{Parser, Subcommand};
use ipc_examples::catalogue::{self, RECIPES, Recipe};
use ipc_examples::{programs, stage};
use std::error::Error;
use std::io::{self, BufRead, Write};

/// The recipes of the documents on interprocess communication, runnable.
///
/// Without a command, lists them.
#[derive(Parser)]
#[command(name = "ipc-examples")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a recipe, all of its programs, in a temporary folder.
    Run {
        /// The recipe: any of its programs' names.
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        /// What to type at the prompts, in order; the documents' own input by default.
        input: Vec<String>,
        /// Asks for what to type.
        #[arg(long, conflicts_with = "input")]
        ask: bool,
        /// Runs all recipes.
        #[arg(long, conflicts_with_all = ["name", "input", "ask"])]
        all: bool,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        None => list(),
        Some(Command::Run { all: true, .. }) => {
            programs::build()?;
            for recipe in RECIPES {
                run(recipe, &[])?;
            }
            println!("\nall {} recipes ran", RECIPES.len());
        }
        Some(Command::Run { name, input, ask, .. }) => {
            let name = name.unwrap_or_default();
            let recipe = catalogue::find(&name).ok_or_else(|| {
                list();
                format!("there is no recipe {name}; those above are all")
            })?;
            let input = if ask { asked(recipe)? } else { given(recipe, input)? };
            programs::build()?;
            run(recipe, &input)?;
        }
    }
    Ok(())
}

fn list() {
    let mut document = None;
    for recipe in RECIPES {
        if document != Some(recipe.document) {
            println!("\n{}", recipe.document.title());
            document = Some(recipe.document);
        }
        for part in recipe.parts {
            println!("    {:16} {}", part.name, part.about);
        }
    }
    println!("\nTo run one: cargo run -p ipc-examples -- run NAME");
}

/// Runs a recipe with this input, or with the documents'.
fn run(recipe: &Recipe, input: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    let names: Vec<_> = recipe.parts.iter().map(|part| part.name).collect();
    println!("\n--- {}", names.join(", "));
    let folder = programs::folder(recipe)?;
    let roles = programs::roles(recipe, input)?;
    let transcripts = stage::play(&roles, folder.path(), true)?;
    match transcripts.iter().zip(&names).find(|(transcript, _)| !transcript.status.success()) {
        Some((transcript, name)) => Err(format!("{name} failed: {}", transcript.status).into()),
        None => Ok(()),
    }
}

fn given(recipe: &Recipe, input: Vec<String>) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let wanted = prompts(recipe).len();
    if input.len() > wanted {
        return Err(format!("{} lines of input, but the recipe asks for {wanted}", input.len()).into());
    }
    Ok(input.into_iter().map(String::into_bytes).collect())
}

fn asked(recipe: &Recipe) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut input = Vec::new();
    for (name, prompt) in prompts(recipe) {
        print!("{name}: {prompt}");
        io::stdout().flush()?;
        let mut line = Vec::new();
        io::stdin().lock().read_until(b'\n', &mut line)?;
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            return Err("the input has ended".into());
        }
        input.push(line);
    }
    Ok(input)
}

fn prompts(recipe: &Recipe) -> Vec<(&'static str, &'static str)> {
    let of_part =
        |part: &'static catalogue::Part| part.dialogue.iter().map(|(prompt, _)| (part.name, *prompt));
    recipe.parts.iter().flat_map(of_part).collect()
}
