# The image: one self-contained program, the public certificates, and a user. `docker build .` builds it;
# it uses basic instructions only, so that old builders work as well.
ARG RUST_VERSION=1.95
# To build from another name or from a digest: rust:1.95-slim-bookworm@sha256:… (deploy/compose/.env.example).
ARG RUST_IMAGE

FROM ${RUST_IMAGE:-rust:${RUST_VERSION}-slim-bookworm} AS build
WORKDIR /build
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# The C library is linked statically, because the image has none. With --target, these flags do not apply to build scripts.
# Addresses that the start adjusts are listed in short: 1.7 MB less.
ENV RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols -C link-arg=-Wl,-z,pack-relative-relocs"

# The dependencies first: their layer is reused until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/private-postgres/Cargo.toml crates/private-postgres/
COPY crates/voicenter-simulator/Cargo.toml crates/voicenter-simulator/
COPY benches benches
RUN mkdir -p src crates/private-postgres/src crates/voicenter-simulator/src \
    && for crate in . crates/private-postgres crates/voicenter-simulator; do : > $crate/src/lib.rs; done \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --quiet --locked --release --bin cdr-sync --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && rm -r src crates/*/src

COPY migrations migrations
COPY docs docs
COPY crates crates
COPY src src
# Cargo compares modification times: the copied files may be older than the stubs that were just built.
RUN touch src/main.rs src/lib.rs crates/*/src/lib.rs \
    && cargo build --quiet --locked --release --bin cdr-sync --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && install -D target/*/release/cdr-sync /image/cdr-sync \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && echo 'cdr-sync:x:65532:65532:cdr-sync:/:/cdr-sync' > /image/etc/passwd \
    && echo 'cdr-sync:x:65532:' > /image/etc/group

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cdr-sync" \
      org.opencontainers.image.description="Keeps a PostgreSQL table an exact, fresh mirror of Voicenter's call detail records" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# With SSL_CERT_DIR, the certificates in SSL_CERT_FILE, if set, are trusted in addition to these, not instead of them.
ENV CDR_SYNC__HTTP__LISTEN=0.0.0.0:8080 SSL_CERT_DIR=/etc/ssl/certs
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["/cdr-sync", "healthcheck"]
ENTRYPOINT ["/cdr-sync"]
CMD ["run"]
