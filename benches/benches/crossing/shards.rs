//! The whole way from one shard to another, as the engine takes it: the runtime's rings, the marks, the doorbell at the end
//! of the turn, and the inbox. Two shards, each on a CPU of its own, asleep between the bursts.
//!
//! The benchmark's thread tells the first shard how many bursts there are to be; the first tells the second when its time
//! begins and ends, and sums up both times.

use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use rtrb::{Consumer, Producer, RingBuffer};
use shardcast_benches::thread_time::ThreadTime;
use shardcast_platform::{Doorbell, DoorbellSeat, DriverRequest};
use shardcast_runtime::{
    Exit, Hooks, Mark, Messages, Node, Options, Running, Runtime, ShardContext, ShardCount,
    ShardId, Stage,
};

use crate::wake::drivers;
use crate::{BURSTS, Message, message, queue_messages_max};

const SHARDS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// Bursts over by the media ring and answers back by the control ring.
pub(crate) fn asleep(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("shards");
    group.sampling_mode(SamplingMode::Flat);
    for (request, _) in drivers() {
        let mut shards = None;
        for burst in BURSTS {
            group.throughput(Throughput::Elements(burst as u64));
            group.bench_function(BenchmarkId::new(request.name(), burst), |bencher| {
                let shards = shards.get_or_insert_with(|| Shards::start(request));
                bencher.iter_custom(|bursts| shards.play(Game { burst, bursts }));
            });
        }
        if let Some(shards) = shards {
            shards.end();
        }
    }
    group.finish();
}

/// So many messages at a time, so many times.
#[derive(Clone, Copy, Debug, Default)]
struct Game {
    burst: usize,
    bursts: u64,
}

/// Two shards, as the benchmark sees them.
struct Shards {
    running: Running,
    games: Producer<Game>,
    doorbell: Doorbell,
    times: mpsc::Receiver<Duration>,
}

impl Shards {
    fn start(driver: DriverRequest) -> Self {
        let (games, next_game) = RingBuffer::new(1);
        let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
        let (played, times) = mpsc::channel();
        let options = Options {
            shards: ShardCount::Count(SHARDS),
            driver,
            pin_cpus: true,
            media_ring: queue_messages_max(),
            ..Options::default()
        };
        let master = Master {
            games: next_game,
            seat,
            played,
        };
        let started = Runtime::start::<Player, Infallible>(options, Hooks::default(), |_| {
            Ok(vec![Some(master), None])
        });
        Self {
            running: started.expect("the shards start"),
            games,
            doorbell,
            times,
        }
    }

    /// CPU time of both shards for the game.
    fn play(&mut self, game: Game) -> Duration {
        self.games.push(game).expect("one game at a time");
        self.doorbell.ring();
        self.times.recv().expect("the shards live")
    }

    fn end(self) {
        self.running.shutdown();
        assert_eq!(self.running.join(), Exit::Clean);
    }
}

/// How the first shard hears of games and tells their times.
struct Master {
    games: Consumer<Game>,
    seat: DoorbellSeat,
    played: mpsc::Sender<Duration>,
}

struct Wire;

impl Messages for Wire {
    type Media = Message;
    type Control = Control;
    type Return = ();
}

/// What the two tell each other; in this order, `Answer` once per burst.
enum Control {
    /// To the second: its time begins.
    Begin(Game),
    /// To the first: the bursts may come.
    Ready(Game),
    /// To the first: the burst is there.
    Answer,
    /// To the second: its time ends.
    End,
    /// To the first: what that time was.
    Spent(Duration),
}

/// Either shard.
struct Player {
    context: ShardContext<Wire>,
    other: ShardId,
    game: Cell<Game>,
    /// Messages of the burst under way that have come.
    received: Cell<usize>,
    /// This thread's CPU time when the game began, and after the game what it took.
    time: Cell<Duration>,
    played: Option<mpsc::Sender<Duration>>,
}

impl Player {
    /// Waits for games for the rest of the shard's life.
    async fn serve(self: Rc<Self>, mut games: Consumer<Game>, seat: DoorbellSeat) {
        let mut waiter = seat.attach().expect("it is attached");
        loop {
            waiter.wait(|| !games.is_empty()).await;
            if let Ok(game) = games.pop() {
                self.tell(Control::Begin(game));
            }
        }
    }

    fn tell(&self, control: Control) {
        self.context.send_control(self.other, control);
    }

    fn begin(&self, game: Game) {
        self.game.set(game);
        self.time.set(ThreadTime::now());
    }

    fn end(&self) {
        self.time.set(ThreadTime::now() - self.time.get());
    }

    /// The next burst, or the end of the game.
    fn go_on(&self) {
        let Game { burst, bursts } = self.game.get();
        let Some(left) = bursts.checked_sub(1) else {
            self.end();
            return self.tell(Control::End);
        };
        self.game.set(Game {
            burst,
            bursts: left,
        });
        for number in 0..burst as u64 {
            let sent = self.context.send_media(self.other, message(number));
            sent.expect("the last burst has been taken out");
        }
    }
}

impl Node for Player {
    type Messages = Wire;
    type Seed = Option<Master>;

    fn start(context: ShardContext<Wire>, master: Option<Master>) -> Rc<Self> {
        let other = context.others().next().expect("there are two shards");
        let (games, played) = match master {
            Some(master) => (Some((master.games, master.seat)), Some(master.played)),
            None => (None, None),
        };
        let player = Rc::new(Self {
            context: context.clone(),
            other,
            game: Cell::default(),
            received: Cell::default(),
            time: Cell::default(),
            played,
        });
        if let Some((games, seat)) = games {
            let mark = Mark::stage(Stage::engine(0));
            context.spawn(mark, Rc::clone(&player).serve(games, seat));
        }
        player
    }

    fn handle_media(&self, _from: ShardId, message: Message) {
        black_box(message);
        self.received.set(self.received.get() + 1);
        if self.received.get() == self.game.get().burst {
            self.received.set(0);
            self.tell(Control::Answer);
        }
    }

    fn handle_control(&self, _from: ShardId, message: Control) {
        match message {
            Control::Begin(game) => {
                self.begin(game);
                self.tell(Control::Ready(game));
            }
            Control::Ready(game) => {
                self.begin(game);
                self.go_on();
            }
            Control::Answer => self.go_on(),
            Control::End => {
                self.end();
                self.tell(Control::Spent(self.time.get()));
            }
            Control::Spent(other) => {
                if let Some(played) = &self.played {
                    // Nobody waits for it any more when the benchmark has been interrupted.
                    let _ = played.send(self.time.get() + other);
                }
            }
        }
    }

    fn handle_return(&self, _from: ShardId, (): ()) {}

    async fn drain(self: Rc<Self>) {}
}
