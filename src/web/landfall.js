"use strict";export function trackProcessing(jobId,handlers,options={}){return groupFor(options).track(jobId,handlers)}
export function trackMany(jobIds,handlers,options={}){const group=groupFor(options),stops=new Map,remove=jobId=>{
stops.get(jobId)?.(),stops.delete(jobId)},add=jobId=>{stops.has(jobId)||stops.set(jobId,group.track(
jobId,handlers,()=>stops.delete(jobId)))};for(const jobId of jobIds)add(jobId);return{add,remove,stop:()=>[
...stops.keys()].forEach(remove)}}export function uploadAndTrack(file,handlers,options={}){const abort=new AbortController,
{signal}=abort;let stop=()=>abort.abort();return queueMicrotask(async()=>{let jobId=options.jobId??randomName();
const guard=f=>signal.aborted||guarded(f);try{guard(()=>handlers.onState?.("uploading",jobId)),jobId=
await(options.uploader??sendFile(options))(file,{jobId,signal,onProgress:(loaded,total)=>{const percent=total?
100*loaded/total:100;guard(()=>handlers.onProgress({jobId,stage:"uploading",percent,loaded,total}))}})}catch(error){
guard(()=>handlers.onState?.("closed",jobId)),guard(()=>handlers.onFailure(error instanceof Error?error.
message:`${error}`,jobId));return}signal.aborted||(stop=groupFor(options).track(jobId,handlers,void 0,
"uploading"))}),()=>stop()}const LIVE=1/0,NAME=/^[\w.~-]{1,128}$/,MAX_BACKOFF_MS=3e4,COLLECT_MS=40,MAX_JOBS_CHARS=5e3,
groups=new Map;function groupFor(options){if(!(options.share??!options.token))return new Group(options);
const{withCredentials=!0,replay="all",token}=options,key=JSON.stringify([1,absolute(options,""),withCredentials,
replay,!!token]);let group=groups.get(key);return group||groups.set(key,group=new Group(options,`lan\
dfall ${key}`)),group.options=options,group}class Group{constructor(options,name){this.options=options;
this.name=name}options;name;trackers=new Set;tab="";isDue=!1;run;channel;isLeader=!1;streams=[];wants=new Map;timer;track(job,handlers,onEnd,skip){
const tracker={job,handlers,at:0,live:!1,skip,onEnd};return this.trackers.add(tracker),this.update(),
()=>{this.trackers.delete(tracker)&&this.update()}}tell(message){this.channel?.postMessage(message),
this.hear(message)}forget(job){for(const places of this.wants.values())places.get(job)===LIVE&&places.
delete(job)}update(){this.isDue||(this.isDue=!0,setTimeout(()=>{this.isDue=!1;for(const tracker of this.
trackers)NAME.test(tracker.job)||this.end(tracker,(h,job)=>h.onFailure("this is no job's name",job));
this.setState("connecting",tracker=>!tracker.state),this.trackers.size?this.run?(this.channel||this.
isLeader)&&this.want():this.start():this.stop()}))}start(){const run=this.run=new AbortController,{name}=this,
lead=()=>{this.isLeader=!0,this.tell({is:"who"})};if(this.tab=randomName(),!name||!navigator.locks||
!self.BroadcastChannel)return lead();const hold=(lock,then)=>navigator.locks.request(lock,run,()=>(then(),
new Promise(release=>run.signal.addEventListener("abort",release)))).catch(()=>run.signal.aborted||this.
isLeader||lead());hold(name+this.tab,()=>{this.channel=new BroadcastChannel(name),this.channel.onmessage=
event=>this.hear(event.data),hold(name,lead),this.want()})}stop(){this.want(),this.run?.abort(),this.
channel?.close(),clearTimeout(this.timer),this.timer=this.run=this.channel=void 0,this.isLeader=!1,this.
wants.clear(),this.closeStreams()}closeStreams(){this.streams.forEach(stream=>stream.close()),this.streams=
[]}want(){const jobs=new Map;for(const{job,at,live}of this.trackers)jobs.set(job,Math.min(live?LIVE:
at,jobs.get(job)??LIVE));this.tell({is:"want",tab:this.tab,jobs:[...jobs]})}hear(message){const{is}=message;
if(is==="want")this.isLeader&&this.hearWant(message);else if(is==="who"){for(const tracker of this.trackers)
tracker.live=!1;this.want()}else if(is==="session"){const jobs=new Map(message.jobs);for(const tracker of this.
trackers){const from=jobs.get(tracker.job)??LIVE;tracker.live=from<LIVE&&(tracker.live||from<=tracker.
at),tracker.live||this.update()}}else if(is==="event")this.hearEvent(message.name,message.job,message.
id,message.data);else{const isMeant=({job,live})=>live&&message.jobs.includes(job);if(is==="state")return this.
setState(message.state,isMeant);for(const tracker of this.trackers)isMeant(tracker)&&this.end(tracker,
(h,job)=>h.onFailure(message.message,job))}}hearEvent(name,job,id,data){for(const tracker of this.trackers)
tracker.job!==job||!tracker.live||(name==="reset"?(data.reason==="unknown"&&(tracker.at=0),guarded(()=>tracker.
handlers.onReset?.(data))):id>tracker.at&&(tracker.at=id,name==="done"?this.end(tracker,h=>h.onDone(
job,data)):name==="error"?this.end(tracker,h=>h.onFailure(`${data.message}`,job)):(!tracker.skip||data.
stage!==tracker.skip)&&guarded(()=>tracker.handlers.onProgress(data))))}setState(state,isMeant){for(const tracker of this.
trackers)isMeant(tracker)&&tracker.state!==state&&(tracker.state=state,guarded(()=>tracker.handlers.
onState?.(state,tracker.job)))}end(tracker,last){this.setState("closed",other=>other===tracker),this.
trackers.delete(tracker)&&(tracker.onEnd?.(),guarded(()=>last(tracker.handlers,tracker.job)),this.update())}hearWant({
tab,jobs}){if(tab!==this.tab&&!this.wants.has(tab)){const isGone=()=>{this.wants.delete(tab),this.plan()};
navigator.locks.request(this.name+tab,this.run,isGone).catch(()=>{})}const places=new Map;for(const[
job,place]of jobs)(place!==LIVE||this.streamOf(job))&&places.set(job,place);this.wants.set(tab,places),
this.plan()}split(stream){const halves=[new Stream(this),new Stream(this)];let n=0;for(const[job,from]of stream.
from)halves[n++%2].from.set(job,from);this.streams.splice(this.streams.indexOf(stream),1,...halves),
halves.forEach(half=>half.open())}streamOf(job){return this.streams.find(stream=>stream.from.has(job))}plan(){
this.timer??=setTimeout(()=>{this.timer=void 0,this.renew()},this.channel?COLLECT_MS:0)}renew(){const jobs=new Map;
let isNew=!1;for(const places of this.wants.values())for(const[job,place]of places){isNew||=place!==
LIVE;const now=this.streamOf(job)?.now(job)??LIVE;jobs.set(job,Math.min(place,now,jobs.get(job)??LIVE)),
places.set(job,LIVE)}const isWanted=({from})=>[...from.keys()].every(job=>jobs.has(job));if(!isNew&&
this.streams.every(isWanted))return;this.closeStreams();let chars=LIVE;for(const[job,from]of jobs)chars+=
job.length+25,chars>MAX_JOBS_CHARS&&(chars=0,this.streams.push(new Stream(this))),this.streams.at(-1).
from.set(job,from);this.tell({is:"session",jobs:[...jobs]});for(const stream of this.streams)stream.
open()}}class Stream{constructor(group){this.group=group}group;from=new Map;last=0;attempts=0;isClosed=!1;source;timer;now(job){
return Math.max(this.from.get(job)??0,this.last)}close(){this.isClosed=!0,this.source?.close(),clearTimeout(
this.timer)}async open(){const{options}=this.group,{withCredentials=!0}=options;let token;try{token=
await options.token?.([...this.from.keys()])}catch(error){return this.retry(`${error}`)}if(this.isClosed)
return;this.source?.close();const url=this.url(token),source=this.source=new EventSource(url,{withCredentials});
this.openAfter(Math.max(1e3,lifeMs(token)/2)),source.onopen=()=>{this.attempts=0,this.tell("open")};
for(const name of["progress","done","error","reset"])source.addEventListener(name,event=>{const{data,
lastEventId}=event;data!==void 0?this.receive(name,JSON.parse(data),+lastEventId):source.readyState===
EventSource.CLOSED?this.refused(url,token):this.tell("reconnecting")})}url(token){const{options}=this.
group,query=new URLSearchParams(token&&{token}),places=new Set([...this.from.keys()].map(job=>this.now(
job)));for(const job of this.from.keys()){const now=this.now(job);this.from.set(job,now),query.append(
"job",now&&places.size>1?`${job}:${now}`:job)}const[place]=places;return place&&places.size===1&&query.
set("lastEventId",`${place}`),options.replay&&query.set("replay",options.replay),this.last=0,absolute(
options,`api/events?${query}`)}receive(name,data,id){const job=data.jobId;name==="reset"&&data.reason===
"unknown"&&this.from.set(job,0),this.last=id,(name==="done"||name==="error")&&(this.group.forget(job),
this.from.delete(job),this.from.size||this.close()),this.group.tell({is:"event",name,job,id,data})}async refused(url,token){
const{options}=this.group,abort=new AbortController,{signal}=abort,credentials=options.withCredentials??
!0?"include":"omit",ask=url2=>fetch(url2,{signal,credentials,cache:"no-store"});let why="no answer";
this.openAfter(1/0);try{const{status}=await ask(url);if(this.isClosed)return;if(why=`HTTP ${status}`,
[403,414].includes(status)&&this.from.size>1)return this.group.split(this);if(status===204){for(const job of this.
from.keys()){const path=`api/jobs/${job}?${new URLSearchParams(token&&{token})}`,{state,lastEvent}=await(await ask(
absolute(options,path))).json();state!=="running"&&this.receive(lastEvent.event,lastEvent.data,LIVE)}
this.last=0}}catch{}finally{abort.abort()}this.retry(why)}retry(why){const{retries=8,backoff=1e3}=this.
group.options;if(this.isClosed)return;if(this.attempts>=retries){const jobs=[...this.from.keys()];this.
close(),this.from.clear(),jobs.forEach(job=>this.group.forget(job));const message=`the connection wa\
s refused: ${why}`;return this.group.tell({is:"failure",jobs,message})}this.tell("reconnecting");const longest=Math.
min(MAX_BACKOFF_MS,backoff*2**this.attempts++);this.openAfter(Math.random()*longest)}openAfter(ms){clearTimeout(
this.timer),ms<2**31&&(this.timer=setTimeout(()=>this.open(),ms))}tell(state){this.group.tell({is:"s\
tate",jobs:[...this.from.keys()],state})}}function absolute({baseUrl=""},path){return new URL(path,new URL(
baseUrl.replace(/\/?$/,"/"),location.href)).href}function lifeMs(token=""){try{const claims=token.split(
".")[1].replaceAll("-","+").replaceAll("_","/"),{exp,iat}=JSON.parse(atob(claims));return(exp-(iat??
Date.now()/1e3))*1e3}catch{return 1/0}}function sendFile(options){return async(file,{jobId,signal,onProgress})=>{
const token=await options.token?.([jobId]);signal.throwIfAborted();const request=new XMLHttpRequest,
query=new URLSearchParams({name:file.name,job:jobId});return request.open("POST",absolute(options,`a\
pi/uploads?${query}`)),request.withCredentials=options.withCredentials??!0,request.responseType="jso\
n",token&&request.setRequestHeader("Authorization",`Bearer ${token}`),request.upload.onprogress=event=>onProgress(
event.loaded,event.total),signal.onabort=()=>request.abort(),new Promise((resolve,reject)=>{request.
onloadend=()=>{const{status,response}=request;status===201?resolve(response?.jobId??jobId):reject(new Error(
response?.error??(status?`HTTP ${status}`:"the upload broke off")))},request.send(file)})}}function guarded(f){
try{f()}catch(error){reportError(error)}}function randomName(){return[...crypto.getRandomValues(new Uint8Array(
16))].map(byte=>byte.toString(16).padStart(2,"0")).join("")}
