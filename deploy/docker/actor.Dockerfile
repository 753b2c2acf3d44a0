# The context is a root folder that deploy/docker/build_image.py made: build/images/actor.
FROM scratch
COPY . /
USER 10001:10001
WORKDIR /tmp
ENV PATH=/usr/bin HOME=/tmp
ENTRYPOINT ["/usr/bin/reckon-actor"]
