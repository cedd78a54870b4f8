"use strict";export function trackProcessing(a,e,t={}){return m(t).track(a,e)}export function trackMany(a,e,t={}){
const n=m(t),s=new Map,r=o=>{s.get(o)?.(),s.delete(o)},i=o=>{s.has(o)||s.set(o,n.track(o,e,()=>s.delete(
o)))};for(const o of a)i(o);return{add:i,remove:r,stop:()=>[...s.keys()].forEach(r)}}export function uploadAndTrack(a,e,t={}){
const n=new AbortController,{signal:s}=n;let r=()=>n.abort();return queueMicrotask(async()=>{let o=t.
jobId??j();const l=c=>s.aborted||f(c);try{l(()=>e.onState?.("uploading",o)),o=await(t.uploader??I(t))(
a,{jobId:o,signal:s,onProgress:(c,h)=>{const u=h?100*c/h:100;l(()=>e.onProgress({jobId:o,stage:"uplo\
ading",percent:u,loaded:c,total:h}))}})}catch(c){l(()=>e.onState?.("closed",o)),l(()=>e.onFailure(c instanceof
Error?c.message:`${c}`,o));return}s.aborted||(r=m(t).track(o,e,void 0,"uploading"))}),()=>r()}const w=[
"done","error","deleted"],d=1/0,T=/^[\w.~-]{1,128}$/,P=3e4,M=40,E=5e3,k=new Map;function m(a){if(!(a.
share??!a.token))return new y(a);const{withCredentials:e=!0,replay:t="all",token:n}=a,s=JSON.stringify(
[2,p(a,""),e,t,!!n]);let r=k.get(s);return r||k.set(s,r=new y(a,`landfall ${s}`)),r.options=a,r}class y{constructor(e,t){
this.options=e;this.name=t}options;name;trackers=new Set;tab="";isDue=!1;run;channel;isLeader=!1;streams=[];wants=new Map;timer;track(e,t,n,s){
const r={job:e,handlers:t,at:0,live:!1,skip:s,onEnd:n};return this.trackers.add(r),this.update(),()=>{
this.trackers.delete(r)&&this.update()}}tell(e){this.channel?.postMessage(e),this.hear(e)}forget(e){
for(const t of this.wants.values())t.get(e)===d&&t.delete(e)}update(){this.isDue||(this.isDue=!0,setTimeout(
()=>{this.isDue=!1;for(const e of this.trackers)T.test(e.job)||this.end(e,(t,n)=>t.onFailure("this i\
s no job's name",n));this.setState("connecting",e=>!e.state),this.trackers.size?this.run?(this.channel||
this.isLeader)&&this.want():this.start():this.stop()}))}start(){const e=this.run=new AbortController,
{name:t}=this,n=()=>{this.isLeader=!0,this.tell({is:"who"})};if(this.tab=j(),!t||!navigator.locks||!self.
BroadcastChannel)return n();const s=(r,i)=>navigator.locks.request(r,e,()=>(i(),new Promise(o=>e.signal.
addEventListener("abort",o)))).catch(()=>e.signal.aborted||this.isLeader||n());s(t+this.tab,()=>{this.
channel=new BroadcastChannel(t),this.channel.onmessage=r=>this.hear(r.data),s(t,n),this.want()})}stop(){
this.want(),this.run?.abort(),this.channel?.close(),clearTimeout(this.timer),this.timer=this.run=this.
channel=void 0,this.isLeader=!1,this.wants.clear(),this.closeStreams()}closeStreams(){this.streams.forEach(
e=>e.close()),this.streams=[]}want(){const e=new Map;for(const{job:t,at:n,live:s}of this.trackers)e.
set(t,Math.min(s?d:n,e.get(t)??d));this.tell({is:"want",tab:this.tab,jobs:[...e]})}hear(e){const{is:t}=e;
if(t==="want")this.isLeader&&this.hearWant(e);else if(t==="who"){for(const n of this.trackers)n.live=
!1;this.want()}else if(t==="session"){const n=new Map(e.jobs);for(const s of this.trackers){const r=n.
get(s.job)??d;s.live=r<d&&(s.live||r<=s.at),s.live||this.update()}}else if(t==="event")this.hearEvent(
e.name,e.job,e.id,e.data);else{const n=({job:s,live:r})=>r&&e.jobs.includes(s);if(t==="state")return this.
setState(e.state,n);for(const s of this.trackers)n(s)&&this.end(s,(r,i)=>r.onFailure(e.message,i))}}hearEvent(e,t,n,s){
for(const r of this.trackers)r.job!==t||!r.live||(e==="reset"?(s.reason==="unknown"&&(r.at=0),f(()=>r.
handlers.onReset?.(s))):n>r.at&&(r.at=n,e==="done"?this.end(r,i=>i.onDone(t,s)):e==="error"?this.end(
r,i=>i.onFailure(`${s.message??"the job failed"}`,t,s)):e==="deleted"?this.end(r,i=>i.onDeleted?i.onDeleted(
t):i.onFailure("the job was deleted",t)):(!r.skip||s.stage!==r.skip)&&f(()=>r.handlers.onProgress(s))))}setState(e,t){
for(const n of this.trackers)t(n)&&n.state!==e&&(n.state=e,f(()=>n.handlers.onState?.(e,n.job)))}end(e,t){
this.setState("closed",n=>n===e),this.trackers.delete(e)&&(e.onEnd?.(),f(()=>t(e.handlers,e.job)),this.
update())}hearWant({tab:e,jobs:t}){if(e!==this.tab&&!this.wants.has(e)){const s=()=>{this.wants.delete(
e),this.plan()};navigator.locks.request(this.name+e,this.run,s).catch(()=>{})}const n=new Map;for(const[
s,r]of t)(r!==d||this.streamOf(s))&&n.set(s,r);this.wants.set(e,n),this.plan()}split(e){const t=[new b(
this),new b(this)];let n=0;for(const[s,r]of e.from)t[n++%2].from.set(s,r);this.streams.splice(this.streams.
indexOf(e),1,...t),t.forEach(s=>s.open())}streamOf(e){return this.streams.find(t=>t.from.has(e))}plan(){
this.timer??=setTimeout(()=>{this.timer=void 0,this.renew()},this.channel?M:0)}renew(){const e=new Map;
let t=!1;for(const r of this.wants.values())for(const[i,o]of r){t||=o!==d;const l=this.streamOf(i)?.
now(i)??d;e.set(i,Math.min(o,l,e.get(i)??d)),r.set(i,d)}const n=({from:r})=>[...r.keys()].every(i=>e.
has(i));if(!t&&this.streams.every(n))return;this.closeStreams();let s=d;for(const[r,i]of e)s+=r.length+
25,s>E&&(s=0,this.streams.push(new b(this))),this.streams.at(-1).from.set(r,i);this.tell({is:"sessio\
n",jobs:[...e]});for(const r of this.streams)r.open()}}class b{constructor(e){this.group=e}group;from=new Map;last=0;attempts=0;isClosed=!1;source;timer;now(e){
return Math.max(this.from.get(e)??0,this.last)}close(){this.isClosed=!0,this.source?.close(),clearTimeout(
this.timer)}async open(){const{options:e}=this.group,{withCredentials:t=!0}=e;let n;try{n=await e.token?.(
[...this.from.keys()])}catch(i){return this.retry(`${i}`)}if(this.isClosed)return;this.source?.close();
const s=this.url(n),r=this.source=new EventSource(s,{withCredentials:t});this.openAfter(Math.max(1e3,
C(n)/2)),r.onopen=()=>{this.attempts=0,this.tell("open")};for(const i of["progress","reset",...w])r.
addEventListener(i,o=>{const{data:l,lastEventId:c}=o;l!==void 0?this.receive(i,JSON.parse(l),+c):r.readyState===
EventSource.CLOSED?this.refused(s,n):this.tell("reconnecting")})}url(e){const{options:t}=this.group,
n=new URLSearchParams(e&&{token:e}),s=new Set([...this.from.keys()].map(i=>this.now(i)));for(const i of this.
from.keys()){const o=this.now(i);this.from.set(i,o),n.append("job",o&&s.size>1?`${i}:${o}`:i)}const[
r]=s;return r&&s.size===1&&n.set("lastEventId",`${r}`),t.replay&&n.set("replay",t.replay),this.last=
0,p(t,`api/events?${n}`)}receive(e,t,n){const s=t.jobId;e==="reset"&&t.reason==="unknown"&&this.from.
set(s,0),this.last=n,w.includes(e)&&(this.group.forget(s),this.from.delete(s),this.from.size||this.close()),
this.group.tell({is:"event",name:e,job:s,id:n,data:t})}async refused(e,t){const{options:n}=this.group,
s=new AbortController,{signal:r}=s,i=n.withCredentials??!0?"include":"omit",o=c=>fetch(c,{signal:r,credentials:i,
cache:"no-store"});let l="no answer";this.openAfter(1/0);try{const{status:c}=await o(e);if(this.isClosed)
return;if(l=`HTTP ${c}`,[403,414].includes(c)&&this.from.size>1)return this.group.split(this);if(c===
204){for(const h of this.from.keys()){const u=`api/jobs/${h}?${new URLSearchParams(t&&{token:t})}`,g=await o(
p(n,u)),{state:S,lastEvent:v}=await g.json();g.status===404||g.status===410?this.receive("deleted",{
jobId:h},d):S!=="running"&&this.receive(v.event,v.data,d)}this.last=0}}catch{}finally{s.abort()}this.
retry(l)}retry(e){const{retries:t=8,backoff:n=1e3}=this.group.options;if(this.isClosed)return;if(this.
attempts>=t){const r=[...this.from.keys()];this.close(),this.from.clear(),r.forEach(o=>this.group.forget(
o));const i=`the connection was refused: ${e}`;return this.group.tell({is:"failure",jobs:r,message:i})}
this.tell("reconnecting");const s=Math.min(P,n*2**this.attempts++);this.openAfter(Math.random()*s)}openAfter(e){
clearTimeout(this.timer),e<2**31&&(this.timer=setTimeout(()=>this.open(),e))}tell(e){this.group.tell(
{is:"state",jobs:[...this.from.keys()],state:e})}}function p({baseUrl:a=""},e){return new URL(e,new URL(
a.replace(/\/?$/,"/"),location.href)).href}function C(a=""){try{const e=a.split(".")[1].replaceAll("\
-","+").replaceAll("_","/"),{exp:t,iat:n}=JSON.parse(atob(e));return(t-(n??Date.now()/1e3))*1e3}catch{
return 1/0}}function I(a){return async(e,{jobId:t,signal:n,onProgress:s})=>{const r=await a.token?.(
[t]);n.throwIfAborted();const i=new XMLHttpRequest,o=new URLSearchParams({name:e.name,job:t});return i.
open("POST",p(a,`api/uploads?${o}`)),i.withCredentials=a.withCredentials??!0,i.responseType="json",r&&
i.setRequestHeader("Authorization",`Bearer ${r}`),i.upload.onprogress=l=>s(l.loaded,l.total),n.onabort=
()=>i.abort(),new Promise((l,c)=>{i.onloadend=()=>{const{status:h,response:u}=i;h===201?l(u?.jobId??
t):c(new Error(u?.error??(h?`HTTP ${h}`:"the upload broke off")))},i.send(e)})}}function f(a){try{a()}catch(e){
reportError(e)}}function j(){return[...crypto.getRandomValues(new Uint8Array(16))].map(a=>a.toString(
16).padStart(2,"0")).join("")}
