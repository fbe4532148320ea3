//! A server's `/metrics` page: the gauges and counters of the engine (`docs/facts/vllm.md`, "Metrics").

use crate::engine::Client;

use super::PROBE_LIMIT;

/// The figures of one `/metrics` page, over all engines and models of the server. A figure that the page lacks is
/// `None`: names differ between versions, and a server with `--disable-log-stats` has none of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServerMetrics {
    /// Requests in the engine's batch. Requests whose image is still being decoded are in no figure.
    pub running: Option<f64>,
    /// Requests that wait for a place in the batch.
    pub waiting: Option<f64>,
    /// Fraction of the KV cache in use, 0 to 1; with several engines, that of the fullest.
    pub kv_cache_usage: Option<f64>,
    /// Requests preempted because the KV cache was full, since the server's start.
    pub preemptions: Option<f64>,
    /// Prompt tokens read, since the server's start.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated, since the server's start.
    pub generation_tokens: Option<f64>,
}

impl ServerMetrics {
    /// Parses a page in Prometheus' text format. Unknown names and malformed lines are ignored.
    pub fn parse(page: &str) -> ServerMetrics {
        let mut metrics = ServerMetrics::default();
        let add = |sum: &mut Option<f64>, value| *sum = Some(sum.unwrap_or(0.0) + value);
        for (name, value) in page.lines().filter_map(sample) {
            match name {
                "vllm:num_requests_running" => add(&mut metrics.running, value),
                "vllm:num_requests_waiting" => add(&mut metrics.waiting, value),
                // The second name is that of versions before 0.11.
                "vllm:kv_cache_usage_perc" | "vllm:gpu_cache_usage_perc" => {
                    let fullest = metrics.kv_cache_usage.map_or(value, |known| known.max(value));
                    metrics.kv_cache_usage = Some(fullest);
                }
                "vllm:num_preemptions_total" => add(&mut metrics.preemptions, value),
                "vllm:prompt_tokens_total" => add(&mut metrics.prompt_tokens, value),
                "vllm:generation_tokens_total" => add(&mut metrics.generation_tokens, value),
                _ => {}
            }
        }
        metrics
    }

    /// Names of the figures that the page has, as current versions of vLLM call them.
    pub fn offered(&self) -> impl Iterator<Item = &'static str> {
        let figures = [
            ("num_requests_running", self.running),
            ("num_requests_waiting", self.waiting),
            ("kv_cache_usage_perc", self.kv_cache_usage),
            ("num_preemptions", self.preemptions),
            ("prompt_tokens", self.prompt_tokens),
            ("generation_tokens", self.generation_tokens),
        ];
        figures.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name)
    }

    /// Tokens read and generated since the server's start; `None` where the page has neither.
    pub fn tokens(&self) -> Option<u64> {
        let counters = [self.prompt_tokens, self.generation_tokens];
        counters.iter().flatten().copied().reduce(|sum, value| sum + value).map(|sum| sum as u64)
    }
}

impl Client {
    /// The figures of the server's `/metrics` page; `None` where there is no such page, or no answer.
    pub async fn metrics(&self) -> Option<ServerMetrics> {
        let request = self.http.get(format!("{}/metrics", self.base)).timeout(PROBE_LIMIT);
        let page = request.send().await.ok()?.error_for_status().ok()?.text().await.ok()?;
        Some(ServerMetrics::parse(&page))
    }
}

/// Name and value of one line: `name{label="…",…} value [time]`. A label may contain spaces and braces.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (name, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
    let mut words = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None => rest,
    }
    .split_whitespace();
    let value: f64 = words.next()?.parse().ok()?;
    value.is_finite().then_some((name, value))
}

/// The text after the brace that closes the labels: the first one outside of quotes.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(&labels[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_several_engines_are_added_up_and_the_fullest_cache_is_told() {
        let page = "# HELP vllm:prompt_tokens_total Number of prefill tokens processed.\n\
                    # TYPE vllm:prompt_tokens_total counter\n\
                    vllm:num_requests_running{engine=\"0\",model_name=\"chandra\"} 3.0\n\
                    vllm:num_requests_running{engine=\"1\",model_name=\"chandra\"} 4.0\n\
                    vllm:num_requests_waiting{engine=\"0\",model_name=\"chandra\"} 0.0\n\
                    vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity\"} 7.0\n\
                    vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n\
                    vllm:kv_cache_usage_perc{engine=\"1\"} 0.75\n\
                    vllm:num_preemptions_total{engine=\"0\"} 2.0\n\
                    vllm:prompt_tokens_total{engine=\"0\",model_name=\"a } \\\" b\"} 1.5e+03\n\
                    vllm:prompt_tokens_created{engine=\"0\"} 1.7e9\n\
                    vllm:generation_tokens_total{engine=\"0\"} 20.0 1395066363000\n\
                    vllm:generation_tokens_total{engine=\"1\"} 3.0\n";
        let metrics = ServerMetrics::parse(page);
        assert_eq!((metrics.running, metrics.waiting), (Some(7.0), Some(0.0)));
        assert_eq!((metrics.kv_cache_usage, metrics.preemptions), (Some(0.75), Some(2.0)));
        assert_eq!((metrics.prompt_tokens, metrics.generation_tokens), (Some(1500.0), Some(23.0)));
        assert_eq!(metrics.tokens(), Some(1523));
    }

    #[test]
    fn what_a_page_lacks_is_told_as_absent_and_the_old_cache_name_is_known() {
        let page = "python_info{implementation=\"CPython\"} 1.0\nvllm:gpu_cache_usage_perc 0.5\n\
                    vllm:num_requests_running{engine=\"0\"} NaN\nvllm:prompt_tokens_total{engine=\"0\" 1\n<html>\n\n";
        let metrics = ServerMetrics::parse(page);
        assert_eq!(metrics, ServerMetrics { kv_cache_usage: Some(0.5), ..ServerMetrics::default() });
        assert_eq!(metrics.tokens(), None);
        assert_eq!(ServerMetrics { generation_tokens: Some(2.0), ..metrics }.tokens(), Some(2));
    }
}
