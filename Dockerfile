# The image: one program that needs nothing beside it, the public certificates, and a user. `docker build .` makes it;
# plain instructions only, so that an old builder does as well.
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /build
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# The C library is linked in, for there is none in the image. With --target these flags leave build scripts alone.
ENV RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols"

# The dependencies first: a layer that stays as long as Cargo.lock does.
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
COPY crates crates
COPY src src
# Cargo goes by times: those of the copied files may be older than the stubs that were just built.
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
# SSL_CERT_DIR: the certificates of SSL_CERT_FILE, should it name some, are trusted besides these, not in their place.
ENV CDR_SYNC__HTTP__LISTEN=0.0.0.0:8080 SSL_CERT_DIR=/etc/ssl/certs
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["/cdr-sync", "healthcheck"]
ENTRYPOINT ["/cdr-sync"]
CMD ["run"]
