//! Spans for an OpenTelemetry collector, by OTLP over HTTP: one for each window, and in it the requests and the commit.
//! Configured as every OpenTelemetry program is: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take to be sent at the end.
const FLUSH: Duration = Duration::from_secs(2);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The exporting layer, if an endpoint is configured; and any error, to be logged once logs are on.
pub(super) fn layer<S>() -> (Option<Box<dyn Layer<S> + Send + Sync>>, Option<String>)
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
{
    let named = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    if !named("OTEL_EXPORTER_OTLP_ENDPOINT") && !named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return (None, None);
    }
    crate::voicenter::install_crypto();
    let exporter = match opentelemetry_otlp::SpanExporter::builder().with_http().build() {
        Ok(exporter) => exporter,
        Err(error) => return (None, Some(error.to_string())),
    };
    let mut resource = Resource::builder();
    if !named("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name("cdr-sync");
    }
    let provider =
        SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    let tracer = provider.tracer("cdr-sync");
    let _ = PROVIDER.set(provider);
    let ours = Targets::new().with_target("cdr_sync", LevelFilter::INFO);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_filter(ours);
    (Some(Box::new(layer)), None)
}

/// Sends pending spans and stops the exporter.
pub(super) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        let _ = provider.shutdown_with_timeout(FLUSH);
    }
}
