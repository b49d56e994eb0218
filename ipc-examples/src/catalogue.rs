//! All recipes: what each shows, which document it is from, which programs it is played by, and what is
//! typed unless the user says otherwise.

/// A recipe, played by one or several example programs.
#[derive(Debug)]
pub struct Recipe {
    /// The document it is from.
    pub document: Document,
    /// Its programs.
    pub parts: &'static [Part],
    /// Files to have in the current directory, empty ones.
    pub files: &'static [&'static str],
}

/// An example program in a recipe.
#[derive(Debug)]
pub struct Part {
    /// Its name: the file is `examples/NAME.rs`.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// When it is started.
    pub start: Start,
    /// Its prompts, and what is typed there.
    pub dialogue: &'static [(&'static str, &'static str)],
}

/// When a part is started.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// At once.
    AtOnce,
    /// When the part before it has printed this.
    AfterOutput(&'static str),
    /// When the part before it has ended.
    AfterEnd,
}

/// The documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// "Interprocess communication via iproc".
    Iproc,
    /// "zmq_inproc(7)".
    ZmqInproc,
    /// "Inter-process communication in concurrent programming".
    Concurrent,
    /// "What is IPC?", on pipes.
    WhatIsIpc,
    /// "Networking and Interprocess Communication".
    Networking,
}

impl Document {
    /// The title.
    pub const fn title(self) -> &'static str {
        match self {
            Document::Iproc => "Interprocess communication via iproc",
            Document::ZmqInproc => "zmq_inproc(7)",
            Document::Concurrent => "Inter-process communication in concurrent programming",
            Document::WhatIsIpc => "What is IPC? Pipes",
            Document::Networking => "Networking and Interprocess Communication",
        }
    }
}

const fn part(
    name: &'static str,
    about: &'static str,
    dialogue: &'static [(&'static str, &'static str)],
) -> Part {
    Part { name, about, start: Start::AtOnce, dialogue }
}

const fn later(
    name: &'static str,
    about: &'static str,
    start: Start,
    dialogue: &'static [(&'static str, &'static str)],
) -> Part {
    Part { name, about, start, dialogue }
}

const fn recipe(document: Document, parts: &'static [Part]) -> Recipe {
    Recipe { document, parts, files: &[] }
}

/// All recipes, in the order of the documents.
pub const RECIPES: &[Recipe] = &[
    recipe(
        Document::Iproc,
        &[part("inprocexample", "three threads tell each other that they are ready", &[])],
    ),
    recipe(
        Document::ZmqInproc,
        &[part("inproc_names", "names within a process, and what a wrong one gets", &[])],
    ),
    recipe(
        Document::Concurrent,
        &[part("posix_mq", "messages of different priorities, the most urgent first", &[])],
    ),
    recipe(
        Document::Concurrent,
        &[part("posix_shm", "shared memory by name: made, written, read through a second handle", &[])],
    ),
    recipe(Document::WhatIsIpc, &[part("pipe_basic", "a pipe's two descriptors, and \"Go!\"", &[])]),
    recipe(Document::WhatIsIpc, &[part("pipe_child", "a forked child says that it is done", &[])]),
    recipe(Document::WhatIsIpc, &[part("pipe_stdio", "buffered, formatted text through a pipe", &[])]),
    recipe(Document::WhatIsIpc, &[part("pipe_capacity", "fills a pipe until it is full", &[])]),
    Recipe {
        document: Document::WhatIsIpc,
        parts: &[part("shell_pipeline", "ls | cut | uniq | sort | tee, five processes", &[])],
        files: &["banana.txt", "apple.txt", "apple.rs", "cherry"],
    },
    recipe(
        Document::WhatIsIpc,
        &[part("shared_mutex", "parent and child count together, without a lock and with one", &[])],
    ),
    recipe(
        Document::Networking,
        &[part("sync_message", "the sender waits until its message is dealt with", &[])],
    ),
    recipe(
        Document::Networking,
        &[part("async_message", "the sender goes on, and collects the answer later", &[])],
    ),
    recipe(
        Document::Networking,
        &[
            part("rpc_server", "has procedures that other processes call", &[]),
            part(
                "rpc_client",
                "calls procedures of the server, and waits for each result",
                &[("Call: ", "add 20 22"), ("Call: ", "upper it might"), ("Call: ", "stop")],
            ),
        ],
    ),
    recipe(
        Document::Networking,
        &[part(
            "readwritepipe",
            "one process writes into a pipe and reads from it",
            &[
                ("Enter first message to write into pipe: ", "This is the first message for the pipe"),
                ("Enter second message to write into pipe: ", "Second message for the pipe"),
            ],
        )],
    ),
    recipe(
        Document::Networking,
        &[part(
            "pipedemo",
            "a child writes into a pipe, its parent reads",
            &[("Enter the string : ", "This is a message from the pipe")],
        )],
    ),
    recipe(
        Document::Networking,
        &[
            part(
                "writefifo",
                "writes text into a named pipe",
                &[("Enter text: ", "This is a named pipe demo example called FIFO")],
            ),
            part("readfifo", "reads text from a named pipe", &[]),
        ],
    ),
    recipe(
        Document::Networking,
        &[
            part(
                "serverprog",
                "sends a line to a client over TCP",
                &[("Enter text to send to the client: ", "thanks and good bye")],
            ),
            part("clientprog", "shows what the server sends over TCP", &[]),
        ],
    ),
    recipe(
        Document::Networking,
        &[
            part(
                "udps",
                "shows a message that comes over UDP, and replies",
                &[("Enter the reply to be sent to the client: ", "It might")],
            ),
            later(
                "udpc",
                "sends a message over UDP, and shows the reply",
                Start::AfterOutput("Waiting for the message from the client"),
                &[("Enter the message to send to the server: ", "Will it rain today?")],
            ),
        ],
    ),
    recipe(
        Document::Networking,
        &[
            part(
                "messageqsend",
                "adds a message to a System V message queue",
                &[("Enter a message to add to message queue : ", "GoodBye")],
            ),
            later(
                "messageqrecv",
                "receives a message from a System V message queue",
                Start::AfterEnd,
                &[],
            ),
        ],
    ),
    recipe(
        Document::Networking,
        &[
            part(
                "writememory",
                "writes text into System V shared memory",
                &[("Enter the string to be written in memory : ", "Today it might rain")],
            ),
            later("readmemory", "reads text from System V shared memory", Start::AfterEnd, &[]),
        ],
    ),
];

/// The recipe that a program of this name is a part of.
pub fn find(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.parts.iter().any(|part| part.name == name))
}
