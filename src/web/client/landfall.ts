// What pages call. Its types are in landfall.d.ts.
import { groupFor } from "./group";
import { jobOf } from "./transfer";
import { Upload } from "./upload";
import type * as declared from "../landfall.d.ts";

export const trackProcessing: typeof declared.trackProcessing = (jobId, handlers, options = {}) =>
  groupFor(options).track(jobId, handlers);

export const trackMany: typeof declared.trackMany = (jobIds, handlers, options = {}) => {
  const group = groupFor(options);
  const stops = new Map<string, () => void>();
  const remove = (jobId: string) => {
    stops.get(jobId)?.();
    stops.delete(jobId);
  };
  const add = (jobId: string) => {
    if (!stops.has(jobId)) {
      stops.set(jobId, group.track(jobId, handlers, () => stops.delete(jobId)));
    }
  };
  for (const jobId of jobIds) add(jobId);
  return { add, remove, stop: () => [...stops.keys()].forEach(remove) };
};

export const uploadAndTrack: typeof declared.uploadAndTrack = (file, handlers, options = {}) =>
  new Upload(file, handlers, options).begin();

export const unfinishedUpload: typeof declared.unfinishedUpload = (file, options = {}) =>
  jobOf(file, options);
