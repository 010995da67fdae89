# The same on the official image of PHP, for its other versions and for extensions that
# docker-php-ext-install builds. php-cgi is in the variants with cli in their name.
ARG PHP=docker.io/library/php:8.4-cli
ARG CADDY=ghcr.io/mevdschee/caddy-php-pool
FROM ${CADDY} AS caddy

FROM ${PHP}
RUN docker-php-ext-install pdo_mysql \
	&& { php -m | grep -q 'Zend OPcache' || docker-php-ext-enable opcache; } \
	&& cp "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \
	&& useradd --uid 1000 --user-group --home-dir /app --no-create-home --shell /usr/sbin/nologin app \
	&& install -d -o app -g app /data /config

COPY --from=caddy /usr/local/bin/caddy /usr/local/bin/caddy
COPY --from=caddy /etc/caddy/Caddyfile /etc/caddy/Caddyfile
# Your application instead
COPY public /app/public

ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config PHP_INI_SCAN_DIR=""
WORKDIR /app
EXPOSE 8080 80 443 443/udp
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
	CMD ["caddy", "php-pool", "status", "--ready", "--config", "/etc/caddy/Caddyfile"]
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]
