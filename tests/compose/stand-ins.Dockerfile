# Stand-ins for the images that docker-compose.yml pins and that cannot be pulled everywhere: the same programs as Debian
# has them, where the originals have them, run by the same user numbers. Built by tests/compose/build.
ARG BASE
FROM ${BASE} AS programs
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get -o Acquire::Retries=3 update -qq \
 && apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends prometheus prometheus-alertmanager redis-server >/dev/null \
 && ln -s prometheus-alertmanager /usr/bin/alertmanager \
 && install -d -o 999 -g 999 /data \
 && install -d -o 65534 -g 65534 /prometheus /alertmanager

FROM programs AS redis
VOLUME /data
WORKDIR /data
CMD ["redis-server"]

FROM programs AS prometheus
USER 65534
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]

FROM programs AS alertmanager
USER 65534
VOLUME /alertmanager
WORKDIR /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
