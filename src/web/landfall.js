export function trackProcessing(jobId, handlers) {
    const source = new EventSource(`/api/jobs/${encodeURIComponent(jobId)}/events`);
    source.addEventListener("progress", (event) => handlers.onProgress(JSON.parse(event.data)));
    source.addEventListener("done", () => {
        source.close();
        handlers.onDone(jobId);
    });
    source.addEventListener("error", (event) => {
        if (!(event instanceof MessageEvent))
            return;
        source.close();
        handlers.onFailure(JSON.parse(event.data).message);
    });
    return () => source.close();
}
