# One image for every service; the command says which it is.
FROM python:3.12-slim

# A new volume takes the owner of the folder that it covers, so /data has to be there and ours.
RUN useradd --system --uid 10001 --create-home --home-dir /home/fairway fairway \
    && install -d -o 10001 -g 10001 /data
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY celeryconfig.py .
COPY common common
COPY web web
COPY workers workers

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["python", "-m", "web.server"]
