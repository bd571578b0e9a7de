//! Stopping tasks: nobody's delay is another's loss.

use std::time::Duration;

use jackfield_cluster::{GroupEvent, GroupSubscription, TopicSelection};
use jackfield_tasks::TaskGroup;

use super::{
    plugins::lock,
    rig::{Rig, config, wait_for},
};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines";
const SINK: &str = "name=snk\nconnector.class=ListSink\ntopics=lines\nvalue.converter=StringConverter";

impl Rig {
    /// What a group committed of the one partition it reads.
    async fn committed(&self, group: &str) -> Option<i64> {
        let subscription = GroupSubscription {
            group_id: group.to_owned(),
            client_id: "test".to_owned(),
            topics: TopicSelection::Names(vec!["lines".to_owned()]),
            max_bytes: 1 << 20,
            session_timeout: Duration::from_secs(10),
        };
        let mut consumer = self.cluster.join_group(subscription).await.unwrap();
        loop {
            if let GroupEvent::Assigned(committed) = consumer.poll(Duration::from_secs(10)).await.unwrap() {
                return committed[0].offset;
            }
        }
    }
}

async fn source_and_sink() -> Rig {
    let rig = Rig::new("offset.flush.interval.ms=3600000").await;
    lock(&rig.source).lines = vec!["a".to_owned()];
    rig.create(SOURCE).await;
    wait_for("the record", || async { !rig.values("lines").await.is_empty() }).await;
    rig.create(SINK).await;
    wait_for("the record in the sink", || async {
        lock(&rig.sink).values.len() == 1
    })
    .await;
    rig
}

#[tokio::test]
async fn a_connector_that_hangs_while_it_starts_holds_up_no_task() {
    let rig = source_and_sink().await;
    lock(&rig.source).hang_configs = true;
    let herder = rig.herder.clone();
    let slow = TaskGroup::new("test");
    slow.spawn("put", async move {
        let slow = config(&SOURCE.replace("src", "a-slow"));
        herder.put_config("a-slow", slow).await.map(drop)
    });
    wait_for("the slow connector", || async {
        rig.herder.connectors().await.unwrap().len() == 3
    })
    .await;
    rig.herder.shutdown(Duration::from_secs(4)).await;
    assert_eq!(lock(&rig.source).stopped, 1);
    assert_eq!(lock(&rig.sink).stopped, 1);
    assert_eq!(rig.committed("connect-snk").await, Some(1));
    slow.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_source_that_hangs_leaves_time_for_the_sinks() {
    let rig = source_and_sink().await;
    let wake = {
        let mut source = lock(&rig.source);
        source.hang = true;
        source.wake.clone().unwrap()
    };
    let polls = lock(&rig.source).polls;
    wake.notify_one();
    wait_for("the hanging poll", || async { lock(&rig.source).polls > polls }).await;
    assert_eq!(rig.herder.shutdown(Duration::from_secs(3)).await, 1);
    assert_eq!(lock(&rig.sink).stopped, 1);
    assert_eq!(rig.committed("connect-snk").await, Some(1));
}

#[tokio::test]
async fn a_task_that_hangs_does_not_take_the_others_time_to_restart() {
    let rig = Rig::new("test.tasks=3\ntask.shutdown.graceful.timeout.ms=1500").await;
    rig.create(&format!("{SOURCE}\ntasks.max=3")).await;
    wait_for("idle tasks", || async { lock(&rig.source).polls >= 3 }).await;
    let (polls, wake) = {
        let mut source = lock(&rig.source);
        source.hang = true;
        (source.polls, source.wake.clone().unwrap())
    };
    wake.notify_one();
    wait_for("the hanging poll", || async { lock(&rig.source).polls > polls }).await;
    lock(&rig.source).hang = false;
    rig.herder.restart("src", true, false).await.unwrap();
    wait_for("all tasks to start again", || async {
        lock(&rig.source).started_from.len() == 6
    })
    .await;
    assert_eq!(lock(&rig.source).stopped, 2);
    rig.stop().await;
}
