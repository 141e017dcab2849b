# A BIDS-App: docker run -v STUDY:/data:ro -v RESULTS:/out IMAGE /data /out participant --event tone
# (docs/bids.md). Nothing is downloaded when it runs: the template head is built with the image.
FROM python:3.12-slim

WORKDIR /opt/majorant
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt ".[bids,bench,cluster,continuous,fast]"

# Any user, as on clusters, reads the head that is made here.
ENV MAJORANT_CACHE=/opt/majorant/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    HOME=/tmp
RUN python -c "from majorant.forward.template import template_head; template_head()" \
    && chmod -R a+rX /opt/majorant

ENTRYPOINT ["majorant-bids-app"]
CMD ["--help"]
