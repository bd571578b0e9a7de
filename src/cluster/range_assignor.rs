//! Kafka's range assignor: per topic, consecutive partitions to members in order.

use std::collections::BTreeMap;

/// A member of the group as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssignedMember {
    pub(crate) member_id: String,
    pub(crate) group_instance_id: Option<String>,
    pub(crate) topics: Vec<String>,
}

/// Partitions by member id and topic. Members with an instance id come first, as in Java, so that a static
/// member keeps its range under a new member id.
pub(crate) fn assign(
    members: &[AssignedMember],
    partition_count: impl Fn(&str) -> Option<usize>,
) -> BTreeMap<String, Vec<(String, Vec<i32>)>> {
    let mut ordered: Vec<&AssignedMember> = members.iter().collect();
    ordered.sort_by_key(|member| {
        let instance = member.group_instance_id.as_deref();
        (instance.is_none(), instance.unwrap_or(&member.member_id))
    });
    let mut by_topic: BTreeMap<&str, Vec<&AssignedMember>> = BTreeMap::new();
    for member in &ordered {
        let mut topics: Vec<&str> = member.topics.iter().map(String::as_str).collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in topics {
            by_topic.entry(topic).or_default().push(member);
        }
    }
    let mut assignment: BTreeMap<String, Vec<(String, Vec<i32>)>> = members
        .iter()
        .map(|member| (member.member_id.clone(), Vec::new()))
        .collect();
    for (topic, members) in by_topic {
        let Some(partitions) = partition_count(topic) else {
            continue;
        };
        let (each, one_more) = (partitions / members.len(), partitions % members.len());
        let mut next = 0;
        for (index, member) in members.iter().enumerate() {
            let count = each + usize::from(index < one_more);
            let range = next..next + count;
            next += count;
            let range: Vec<i32> = range
                .filter_map(|partition| i32::try_from(partition).ok())
                .collect();
            if let Some(assigned) = assignment
                .get_mut(&member.member_id)
                .filter(|_| !range.is_empty())
            {
                assigned.push((topic.to_owned(), range));
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> AssignedMember {
        AssignedMember {
            member_id: id.into(),
            group_instance_id: instance.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    fn check(members: &[AssignedMember], expected: &[&str]) {
        let counts = BTreeMap::from([("t", 3), ("u", 5), ("one", 1)]);
        let assignment = assign(members, |topic| counts.get(topic).copied());
        let shown: Vec<String> = assignment
            .iter()
            .map(|(member, partitions)| format!("{member} {partitions:?}"))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn ranges_are_javas() {
        check(&[member("a", None, &["t"])], &[r#"a [("t", [0, 1, 2])]"#]);
        check(
            &[member("b", None, &["t", "u"]), member("a", None, &["u", "t"])],
            &[
                r#"a [("t", [0, 1]), ("u", [0, 1, 2])]"#,
                r#"b [("t", [2]), ("u", [3, 4])]"#,
            ],
        );
        check(
            &[
                member("a", None, &["one"]),
                member("b", None, &["one", "missing"]),
            ],
            &[r#"a [("one", [0])]"#, "b []"],
        );
        check(
            &[
                member("a", None, &["t", "t"]),
                member("z", Some("first"), &["t"]),
                member("b", None, &["u"]),
            ],
            &[
                r#"a [("t", [2])]"#,
                r#"b [("u", [0, 1, 2, 3, 4])]"#,
                r#"z [("t", [0, 1])]"#,
            ],
        );
        check(&[], &[]);
    }
}
