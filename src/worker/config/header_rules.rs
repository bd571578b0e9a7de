//! `response.http.headers.config`: rules of the form `action name: value`, separated by commas. A rule with a comma in it
//! stands in double quotes.

/// A header of every REST answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// What is done with it.
    pub action: HeaderAction,
    /// Name.
    pub name: String,
    /// Value; of dates, milliseconds since 1970.
    pub value: String,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderAction {
    /// Replaces headers of the name.
    Set,
    /// Adds one more.
    Add,
    /// As [`HeaderAction::Set`], with a date.
    SetDate,
    /// As [`HeaderAction::Add`], with a date.
    AddDate,
}

/// Reads the rules; the error is Kafka's, of the first rule that is none.
pub(super) fn parse(text: &str) -> Result<Vec<HeaderRule>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    rules(text).iter().map(|text| rule(text.trim())).collect()
}

/// Splits at commas outside of double quotes, and takes the quotes away.
fn rules(text: &str) -> Vec<String> {
    let mut rules = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => rules.push(String::new()),
            other => {
                if let Some(rule) = rules.last_mut() {
                    rule.push(other);
                }
            }
        }
    }
    rules
}

fn rule(text: &str) -> Result<HeaderRule, String> {
    let (action, header) = text.split_once(char::is_whitespace).ok_or_else(|| {
        format!("Invalid format of header config '{text}'. Expected: '[action] [header name]:[header value]'")
    })?;
    let action = match action.to_ascii_lowercase().as_str() {
        "set" => HeaderAction::Set,
        "add" => HeaderAction::Add,
        "setdate" => HeaderAction::SetDate,
        "adddate" => HeaderAction::AddDate,
        _ => {
            return Err(format!(
                "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
            ));
        }
    };
    let header = header.trim();
    let parts: Vec<&str> = header.split(':').map(str::trim).collect();
    let [name, value] = parts[..] else {
        return Err(format!(
            "Invalid format of header name and header value pair '{header}'. Expected: '[header name]:[header value]'"
        ));
    };
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
    if !is_name(name) {
        return Err(format!(
            "Invalid header name '{name}'. The '[header name]' cannot contain whitespace"
        ));
    }
    let is_date = matches!(action, HeaderAction::SetDate | HeaderAction::AddDate);
    if value.chars().any(char::is_control) || is_date && value.parse::<i64>().is_err() {
        return Err(format!("Invalid header config '{text}'."));
    }
    Ok(HeaderRule {
        action,
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_kafka_reads_them() {
        let rules =
            parse(r#"add X-Frame-Options: DENY, "SET Cache-Control: no-cache, no-store",setDate Expires: 0"#);
        let rules = rules.unwrap();
        let shown: Vec<_> = rules
            .iter()
            .map(|rule| (rule.action, rule.name.as_str(), rule.value.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (HeaderAction::Add, "X-Frame-Options", "DENY"),
                (HeaderAction::Set, "Cache-Control", "no-cache, no-store"),
                (HeaderAction::SetDate, "Expires", "0"),
            ]
        );
        assert_eq!(parse(" ").unwrap(), []);
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, part) in [
            ("add", "Invalid format of header config 'add'"),
            ("put X: y", "Invalid header config action: 'put'"),
            ("add X", "Invalid format of header name and header value pair 'X'"),
            ("add X: y: z", "header value pair 'X: y: z'"),
            ("add X Y: z", "Invalid header name 'X Y'"),
            ("add : z", "Invalid header name ''"),
            ("setDate Expires: soon", "Invalid header config"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
