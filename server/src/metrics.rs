//! Figures for Prometheus, in its text format.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// A request's labels: the route's pattern, so that ids do not multiply them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FirmwareLabels {
    firmware: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// A machine's id, or `unknown`; and what it booted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NetbootLabels {
    machine: String,
    boots: &'static str,
}

/// Seconds: a look-up in memory, a database page, a pack over a slow line.
const LATENCY_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// What the server counts. Cloning shares the figures.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabels, Histogram, fn() -> Histogram>,
    runs: Family<StateLabels, Gauge>,
    /// Connections that are open now.
    pub connections_open: Gauge,
    /// Connections that were closed at once, because there were too many.
    pub connections_refused: Counter,
    /// Bytes of objects that were received and kept.
    pub received_bytes: Counter,
    /// Bytes of objects that were sent.
    pub sent_bytes: Counter,
    /// Chunk ids that clients asked for.
    pub chunks_asked: Counter,
    /// Of those, how many were there: stored once, not again.
    pub chunks_known: Counter,
    /// Chunks and nodes in packs that were received.
    pub chunks_received: Counter,
    /// Images that became visible.
    pub images_received: Counter,
    /// Uploads that were refused because their bytes are not what they claim to be.
    pub uploads_refused: Counter,
    /// Uploads that were refused because the disk is too full.
    pub no_space: Counter,
    /// Wrong passwords, codes and tokens.
    pub logins_refused: Counter,
    netboot_offers: Family<FirmwareLabels, Counter>,
    netboot_transfers: Family<ResultLabels, Counter>,
    netboot_sent_bytes: Counter,
    netboot_requests: Family<ResultLabels, Counter>,
    netboot_machines: Family<NetbootLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            runs: Family::default(),
            connections_open: Gauge::default(),
            connections_refused: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            chunks_asked: Counter::default(),
            chunks_known: Counter::default(),
            chunks_received: Counter::default(),
            images_received: Counter::default(),
            uploads_refused: Counter::default(),
            no_space: Counter::default(),
            logins_refused: Counter::default(),
            netboot_offers: Family::default(),
            netboot_transfers: Family::default(),
            netboot_sent_bytes: Counter::default(),
            netboot_requests: Family::default(),
            netboot_machines: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// How many runs of tasks are in a state now.
    pub fn set_runs(&self, state: &str, runs: i64) {
        self.runs.get_or_create(&StateLabels { state: state.to_owned() }).set(runs);
    }

    /// Counts an answer to firmware that asked where to boot from.
    pub fn offered(&self, firmware: &'static str) {
        self.netboot_offers.get_or_create(&FirmwareLabels { firmware }).inc();
    }

    /// Counts a transfer by TFTP.
    pub fn transferred(&self, result: &'static str, bytes: u64) {
        self.netboot_transfers.get_or_create(&ResultLabels { result }).inc();
        self.netboot_sent_bytes.inc_by(bytes);
    }

    /// Counts a request of HTTP boot.
    pub fn fetched(&self, result: &'static str) {
        self.netboot_requests.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts a machine, by id or `unknown`, that boots the agent or its own disk.
    pub fn netbooted(&self, machine: &str, boots: &'static str) {
        self.netboot_machines.get_or_create(&NetbootLabels { machine: machine.to_owned(), boots }).inc();
    }

    /// Everything as text.
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("holotype");
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register_with_unit("request", "Time to answer a request", Unit::Seconds, self.latency.clone());
        registry.register("task_runs", "Runs of tasks, by state", self.runs.clone());
        registry.register("connections_open", "Connections that are open", self.connections_open.clone());
        registry.register("connections_refused", "Connections closed: too many", self.connections_refused.clone());
        registry.register_with_unit("received", "Object bytes kept", Unit::Bytes, self.received_bytes.clone());
        registry.register_with_unit("sent", "Object bytes sent", Unit::Bytes, self.sent_bytes.clone());
        registry.register("chunks_asked", "Chunk ids asked for", self.chunks_asked.clone());
        registry.register("chunks_known", "Chunk ids asked for that were there", self.chunks_known.clone());
        registry.register("chunks_received", "Chunks in packs received", self.chunks_received.clone());
        registry.register("images_received", "Images received", self.images_received.clone());
        registry.register("uploads_refused", "Uploads with other bytes than claimed", self.uploads_refused.clone());
        registry.register("no_space", "Uploads refused: disk too full", self.no_space.clone());
        registry.register("logins_refused", "Wrong passwords, codes, tokens", self.logins_refused.clone());
        registry.register("netboot_offers", "Answers where to boot from", self.netboot_offers.clone());
        registry.register("netboot_tftp_transfers", "Transfers by TFTP", self.netboot_transfers.clone());
        registry.register_with_unit("netboot_tftp", "Bytes by TFTP", Unit::Bytes, self.netboot_sent_bytes.clone());
        registry.register("netboot_http_requests", "Requests of HTTP boot", self.netboot_requests.clone());
        registry.register("netboot_boots", "Network boots by machine", self.netboot_machines.clone());
        let ratio: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        let (asked, known) = (self.chunks_asked.get(), self.chunks_known.get());
        ratio.set(if asked == 0 { 0.0 } else { known as f64 / asked as f64 });
        registry.register("dedup_ratio", "Share of the chunks asked for that were there", ratio);
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_out_as_text() {
        let metrics = Metrics::default();
        metrics.answered("GET", "/api/v1/machines/{id}", 200, Duration::from_millis(3));
        metrics.received_bytes.inc_by(77);
        metrics.chunks_asked.inc_by(4);
        metrics.chunks_known.inc_by(3);
        metrics.set_runs("queued", 2);
        let text = metrics.text();
        let wanted = "holotype_requests_total{method=\"GET\",route=\"/api/v1/machines/{id}\",status=\"200\"} 1";
        for line in [wanted, "holotype_received_bytes_total 77", "holotype_dedup_ratio 0.75"] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("holotype_task_runs{state=\"queued\"} 2") && text.ends_with("# EOF\n"));
    }
}
