# The web demo on a CPU: docker build -t captioner . && docker run -p 7860:7860 captioner
FROM python:3.12-slim
ARG EXTRAS=web

RUN useradd --create-home --uid 1000 user
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY captioner captioner
# torch comes from PyTorch's own index: PyPI's Linux build brings gigabytes of CUDA.
RUN pip install --no-cache-dir -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch \
 && pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"
COPY app.py ./
COPY demo demo
COPY data data
COPY eval eval

USER user
ENV PYTHONUNBUFFERED=1 GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
