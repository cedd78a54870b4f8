export function trackProcessing(jobId, handlers, options = {}) {
    return groupFor(options).track(jobId, handlers);
}
export function trackMany(jobIds, handlers, options = {}) {
    const group = groupFor(options);
    const stops = new Map();
    const remove = (jobId) => {
        stops.get(jobId)?.();
        stops.delete(jobId);
    };
    const add = (jobId) => {
        if (!stops.has(jobId)) {
            stops.set(jobId, group.track(jobId, handlers, () => stops.delete(jobId)));
        }
    };
    for (const jobId of jobIds)
        add(jobId);
    return { add, remove, stop: () => [...stops.keys()].forEach(remove) };
}
export function uploadAndTrack(file, handlers, options = {}) {
    const abort = new AbortController();
    const { signal } = abort;
    let stop = () => abort.abort();
    const upload = async () => {
        let jobId = options.jobId ?? randomName();
        const guard = (f) => signal.aborted || guarded(f);
        try {
            guard(() => handlers.onState?.("uploading", jobId));
            jobId = await (options.uploader ?? sendFile(options))(file, {
                jobId,
                signal,
                onProgress: (loaded, total) => {
                    const percent = total ? (100 * loaded) / total : 100;
                    guard(() => handlers.onProgress({ jobId, stage: "uploading", percent, loaded, total }));
                },
            });
        }
        catch (error) {
            guard(() => handlers.onState?.("closed", jobId));
            guard(() => handlers.onFailure(error instanceof Error ? error.message : `${error}`, jobId));
            return;
        }
        if (!signal.aborted)
            stop = groupFor(options).track(jobId, handlers, undefined, "uploading");
    };
    queueMicrotask(upload);
    return () => stop();
}
const LIVE = Infinity;
const MAX_BACKOFF_MS = 30_000;
const COLLECT_MS = 40;
const MAX_JOBS_CHARS = 5000;
const groups = new Map();
function groupFor(options) {
    if (!(options.share ?? !options.token))
        return new Group(options);
    const { withCredentials = true, replay = "all", token } = options;
    const key = JSON.stringify([1, absolute(options, ""), withCredentials, replay, !!token]);
    let group = groups.get(key);
    if (!group)
        groups.set(key, (group = new Group(options, `landfall ${key}`)));
    group.options = options;
    return group;
}
class Group {
    options;
    name;
    trackers = new Set();
    tab = "";
    session = "";
    isDue = false;
    run;
    channel;
    isLeader = false;
    streams = [];
    wants = new Map();
    timer;
    constructor(options, name) {
        this.options = options;
        this.name = name;
    }
    track(job, handlers, onEnd, skip) {
        const tracker = { job, handlers, at: 0, live: false, skip, onEnd };
        this.trackers.add(tracker);
        this.update();
        return () => {
            if (this.trackers.delete(tracker))
                this.update();
        };
    }
    tell(message) {
        this.channel?.postMessage(message);
        this.hear(message);
    }
    forget(job) {
        for (const places of this.wants.values()) {
            if (places.get(job) === LIVE)
                places.delete(job);
        }
    }
    update() {
        if (this.isDue)
            return;
        this.isDue = true;
        setTimeout(() => {
            this.isDue = false;
            this.setState("connecting", (tracker) => !tracker.state);
            if (!this.trackers.size)
                this.stop();
            else if (!this.run)
                this.start();
            else if (this.channel || this.isLeader)
                this.want();
        });
    }
    start() {
        const run = (this.run = new AbortController());
        const { name } = this;
        const lead = () => {
            this.isLeader = true;
            this.tell({ is: "who" });
        };
        this.tab = randomName();
        if (!name || !navigator.locks || !self.BroadcastChannel)
            return lead();
        const hold = (lock, then) => navigator.locks
            .request(lock, run, () => {
            then();
            return new Promise((release) => run.signal.addEventListener("abort", release));
        })
            .catch(() => run.signal.aborted || this.isLeader || lead());
        hold(name + this.tab, () => {
            this.channel = new BroadcastChannel(name);
            this.channel.onmessage = (event) => this.hear(event.data);
            hold(name, lead);
            this.want();
        });
    }
    stop() {
        this.want();
        this.run?.abort();
        this.channel?.close();
        clearTimeout(this.timer);
        this.timer = this.run = this.channel = undefined;
        this.isLeader = false;
        this.wants.clear();
        this.closeStreams();
    }
    closeStreams() {
        this.streams.forEach((stream) => stream.close());
        this.streams = [];
    }
    want() {
        const jobs = new Map();
        for (const { job, at, live } of this.trackers) {
            jobs.set(job, Math.min(live ? LIVE : at, jobs.get(job) ?? LIVE));
        }
        this.tell({ is: "want", tab: this.tab, session: this.session, jobs: [...jobs] });
    }
    hear(message) {
        const { is } = message;
        if (is === "want") {
            if (this.isLeader)
                this.hearWant(message);
        }
        else if (is === "who") {
            for (const tracker of this.trackers)
                tracker.live = false;
            this.want();
        }
        else if (is === "session") {
            this.session = message.session;
            const jobs = new Map(message.jobs);
            for (const tracker of this.trackers) {
                tracker.live = jobs.get(tracker.job) <= tracker.at;
                if (!tracker.live)
                    this.update();
            }
        }
        else if (is === "event") {
            this.hearEvent(message.name, message.job, message.id, message.data);
        }
        else {
            const isMeant = ({ job, live }) => live && message.jobs.includes(job);
            if (is === "state")
                return this.setState(message.state, isMeant);
            for (const tracker of this.trackers) {
                if (isMeant(tracker))
                    this.end(tracker, (h, job) => h.onFailure(message.message, job));
            }
        }
    }
    hearEvent(name, job, id, data) {
        for (const tracker of this.trackers) {
            if (tracker.job !== job || !tracker.live)
                continue;
            if (name === "reset") {
                if (data.reason === "unknown")
                    tracker.at = 0;
                guarded(() => tracker.handlers.onReset?.(data));
            }
            else if (id > tracker.at) {
                tracker.at = id;
                if (name === "done")
                    this.end(tracker, (h) => h.onDone(job, data));
                else if (name === "error")
                    this.end(tracker, (h) => h.onFailure(`${data.message}`, job));
                else if (!tracker.skip || data.stage !== tracker.skip) {
                    guarded(() => tracker.handlers.onProgress(data));
                }
            }
        }
    }
    setState(state, isMeant) {
        for (const tracker of this.trackers) {
            if (isMeant(tracker) && tracker.state !== state) {
                tracker.state = state;
                guarded(() => tracker.handlers.onState?.(state, tracker.job));
            }
        }
    }
    end(tracker, last) {
        this.setState("closed", (other) => other === tracker);
        if (!this.trackers.delete(tracker))
            return;
        tracker.onEnd?.();
        guarded(() => last(tracker.handlers, tracker.job));
        this.update();
    }
    hearWant({ tab, session, jobs }) {
        if (tab !== this.tab && !this.wants.has(tab)) {
            const isGone = () => {
                this.wants.delete(tab);
                this.plan();
            };
            navigator.locks.request(this.name + tab, this.run, isGone).catch(() => { });
        }
        const places = new Map();
        for (const [job, place] of jobs) {
            const begins = this.streamOf(job)?.from.get(job);
            const isLive = begins <= place && (place === LIVE || session !== this.session);
            if (isLive || place !== LIVE)
                places.set(job, isLive ? LIVE : place);
        }
        this.wants.set(tab, places);
        this.plan();
    }
    streamOf(job) {
        return this.streams.find((stream) => stream.from.has(job));
    }
    plan() {
        this.timer ??= setTimeout(() => {
            this.timer = undefined;
            this.renew();
        }, this.channel ? COLLECT_MS : 0);
    }
    renew() {
        const jobs = new Map();
        let isNew = false;
        for (const places of this.wants.values()) {
            for (const [job, place] of places) {
                isNew ||= place !== LIVE;
                const now = this.streamOf(job)?.now(job) ?? LIVE;
                jobs.set(job, Math.min(place, now, jobs.get(job) ?? LIVE));
                places.set(job, LIVE);
            }
        }
        const isWanted = ({ from }) => [...from.keys()].every((job) => jobs.has(job));
        if (!isNew && this.streams.every(isWanted))
            return;
        this.closeStreams();
        let chars = LIVE;
        for (const [job, from] of jobs) {
            chars += job.length + 25;
            if (chars > MAX_JOBS_CHARS) {
                chars = 0;
                this.streams.push(new Stream(this));
            }
            this.streams.at(-1).from.set(job, from);
        }
        this.tell({ is: "session", session: randomName(), jobs: [...jobs] });
        for (const stream of this.streams)
            stream.open();
    }
}
class Stream {
    group;
    from = new Map();
    last = 0;
    attempts = 0;
    isClosed = false;
    source;
    constructor(group) {
        this.group = group;
    }
    now(job) {
        return Math.max(this.from.get(job) ?? 0, this.last);
    }
    close() {
        this.isClosed = true;
        this.source?.close();
    }
    async open() {
        const { options } = this.group;
        let source;
        try {
            const url = this.url((await options.token?.([...this.from.keys()])) ?? "");
            if (this.isClosed)
                return;
            source = new EventSource(url, { withCredentials: options.withCredentials ?? true });
        }
        catch (error) {
            return this.retry(`: ${error}`);
        }
        this.source = source;
        source.onopen = () => {
            this.attempts = 0;
            this.tell("open");
        };
        for (const name of ["progress", "done", "error", "reset"]) {
            source.addEventListener(name, (event) => {
                const { data, lastEventId } = event;
                if (data !== undefined)
                    this.receive(name, JSON.parse(data), +lastEventId);
                else if (source.readyState === EventSource.CLOSED)
                    this.retry();
                else
                    this.tell("reconnecting");
            });
        }
    }
    url(token) {
        const { options } = this.group;
        const query = new URLSearchParams();
        const places = new Set([...this.from.keys()].map((job) => this.now(job)));
        for (const job of this.from.keys()) {
            const now = this.now(job);
            this.from.set(job, now);
            query.append("job", now && places.size > 1 ? `${job}:${now}` : job);
        }
        const [place] = places;
        if (place && places.size === 1)
            query.set("lastEventId", `${place}`);
        if (options.replay)
            query.set("replay", options.replay);
        if (token)
            query.set("token", token);
        this.last = 0;
        return absolute(options, `api/events?${query}`);
    }
    receive(name, data, id) {
        const job = data.jobId;
        if (name === "reset" && data.reason === "unknown")
            this.from.set(job, 0);
        this.last = id;
        const isEnd = name === "done" || name === "error";
        if (isEnd) {
            this.group.forget(job);
            this.from.delete(job);
            if (!this.from.size)
                this.close();
        }
        this.group.tell({ is: "event", name, job, id, data });
    }
    retry(why = "") {
        const { retries = 8, backoff = 1000 } = this.group.options;
        if (this.isClosed)
            return;
        if (this.attempts >= retries) {
            const jobs = [...this.from.keys()];
            this.close();
            this.from.clear();
            jobs.forEach((job) => this.group.forget(job));
            const message = `the connection was refused ${retries + 1} times${why}`;
            return this.group.tell({ is: "failure", jobs, message });
        }
        this.tell("reconnecting");
        const longest = Math.min(MAX_BACKOFF_MS, backoff * 2 ** this.attempts++);
        setTimeout(() => this.isClosed || this.open(), Math.random() * longest);
    }
    tell(state) {
        this.group.tell({ is: "state", jobs: [...this.from.keys()], state });
    }
}
function absolute({ baseUrl = "" }, path) {
    return new URL(path, new URL(baseUrl.replace(/\/?$/, "/"), location.href)).href;
}
function sendFile(options) {
    return async (file, { jobId, signal, onProgress }) => {
        const token = await options.token?.([jobId]);
        signal.throwIfAborted();
        const request = new XMLHttpRequest();
        const query = new URLSearchParams({ name: file.name, job: jobId });
        request.open("POST", absolute(options, `api/uploads?${query}`));
        request.withCredentials = options.withCredentials ?? true;
        request.responseType = "json";
        if (token)
            request.setRequestHeader("Authorization", `Bearer ${token}`);
        request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
        signal.onabort = () => request.abort();
        return new Promise((resolve, reject) => {
            request.onloadend = () => {
                const { status, response } = request;
                if (status === 201)
                    resolve(response?.jobId ?? jobId);
                else
                    reject(new Error(response?.error ?? (status ? `HTTP ${status}` : "the upload broke off")));
            };
            request.send(file);
        });
    };
}
function guarded(f) {
    try {
        f();
    }
    catch (error) {
        reportError(error);
    }
}
function randomName() {
    return [...crypto.getRandomValues(new Uint8Array(16))]
        .map((byte) => byte.toString(16).padStart(2, "0"))
        .join("");
}
