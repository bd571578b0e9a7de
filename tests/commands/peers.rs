//! The same commands beside an Apache Kafka broker and a Connect worker, which answer in their own ways.

use super::{Commands, connectors, groups, records, topics};
use crate::harness::{
    kafka::{RealConnect, RealKafka},
    scratch::Scratch,
};

#[test]
fn commands_work_beside_apache_kafka() {
    let scratch = Scratch::new("commands-kafka");
    let kafka = RealKafka::start(&scratch, &[]);
    let commands = Commands::of_broker(kafka.port, &scratch);
    // The topics are listed before there are any of Kafka's own.
    topics::on(&commands);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| RealConnect::start(&scratch, kafka.port, &[""; 0]));
        records::on(&commands);
        groups::on(&commands, "classic", &[]);
        groups::on(&commands, "consumer", &["-X group.protocol=consumer"]);
        let worker = worker.join().unwrap();
        let commands = Commands::of_worker(worker.rest.port, &scratch);
        connectors::on(&commands);
        connectors::beyond(&commands);
    });
}
