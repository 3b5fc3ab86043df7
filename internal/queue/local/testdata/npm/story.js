// What people and a worker do, with the official client: create a task, watch
// it, list it, download what it left, and cancel another one.
import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import taskcluster from 'taskcluster-client';

const { ROOT_URL, PEOPLE, WORKER } = process.env;
const rootUrl = ROOT_URL;
const people = JSON.parse(PEOPLE);
const worker = JSON.parse(WORKER);
const queueId = 'proj-js/pool';

const connect = (Service, credentials) => new Service({ rootUrl, credentials, retries: 0 });
const definition = more => ({
  taskQueueId: queueId,
  created: taskcluster.fromNowJSON('0 seconds'),
  deadline: taskcluster.fromNowJSON('1 hour'),
  payload: { command: [['true']] },
  metadata: { name: 'täsk', description: 'made by the JavaScript client', owner: 'nobody@example.com', source: 'https://example.com' },
  ...more,
});
const refused = (promise, statusCode, code) => assert.rejects(promise, err => {
  assert.equal(err.statusCode, statusCode);
  assert.equal(err.code, code);
  return true;
});
const collect = () => {
  const chunks = [];
  const stream = new Writable({ write(chunk, _, done) { chunks.push(chunk); done(); } });
  return { stream, text: () => Buffer.concat(chunks).toString() };
};

const queue = connect(taskcluster.Queue, people);
const auth = connect(taskcluster.Auth, people);
for (const Service of ['Queue', 'Auth', 'Index', 'Secrets', 'PurgeCache', 'Object']) {
  assert.equal((await connect(taskcluster[Service]).ping()).alive, true);
}
assert.deepEqual(await auth.currentScopes(), { scopes: ['*'] });

// Create.
const taskId = taskcluster.slugid();
const task = definition({ scopes: ['some:scope'], tags: { kind: 'test' } });
const { status } = await queue.createTask(taskId, task);
assert.equal(status.state, 'pending');
assert.equal((await queue.createTask(taskId, task)).status.taskId, taskId);
await refused(queue.createTask(taskId, definition({ priority: 'high' })), 409, 'RequestConflict');
await refused(queue.createTask(taskcluster.slugid(), definition({ priority: 'urgent' })), 400, 'InputValidationError');
await refused(connect(taskcluster.Queue, worker).createTask(taskcluster.slugid(), task), 403, 'InsufficientScopes');
await refused(connect(taskcluster.Queue, { ...people, accessToken: 'wrong' }).createTask(taskcluster.slugid(), task), 401, 'AuthenticationFailed');
assert.equal((await queue.task(taskId)).metadata.name, 'täsk');

// Be the worker.
const { tasks: [claim] } = await connect(taskcluster.Queue, worker).claimWork(queueId, { tasks: 1, workerGroup: 'js', workerId: 'one' });
assert.equal(claim.status.taskId, taskId);
const run = connect(taskcluster.Queue, claim.credentials);
const current = await connect(taskcluster.Auth, claim.credentials).currentScopes();
assert.ok(current.scopes.includes('some:scope') && current.scopes.includes(`queue:resolve-task:${taskId}/0`));
await run.reclaimTask(taskId, 0);
const expires = taskcluster.fromNowJSON('30 minutes');
const s3 = await run.createArtifact(taskId, 0, 'private/a b+c%.txt', { storageType: 's3', contentType: 'text/plain', expires });
const put = await fetch(s3.putUrl, { method: 'PUT', headers: { 'content-type': s3.contentType }, body: 'by s3' });
assert.equal(put.status, 200);
for (const [name, text] of [['public/small', 'by object'], ['public/large', 'x'.repeat(100_000)]]) {
  const object = await run.createArtifact(taskId, 0, name, { storageType: 'object', contentType: 'text/plain', expires });
  await taskcluster.upload({
    projectId: object.projectId, name: object.name, uploadId: object.uploadId, expires: object.expires,
    contentType: 'text/plain', contentLength: text.length, object: connect(taskcluster.Object, object.credentials),
    streamFactory: async () => Readable.from(Buffer.from(text)),
  });
  await run.finishArtifact(taskId, 0, name, { uploadId: object.uploadId });
}
await run.createArtifact(taskId, 0, 'public/lost', { storageType: 'error', reason: 'file-missing-on-worker', message: 'gone', expires });
await run.createArtifact(taskId, 0, 'public/same', { storageType: 'link', artifact: 'public/small', expires });

// Watch it end.
assert.equal((await queue.status(taskId)).status.state, 'running');
await run.reportCompleted(taskId, 0);
assert.equal((await queue.status(taskId)).status.state, 'completed');
await refused(run.reportFailed(taskId, 0), 409, 'RequestConflict');

// List.
await queue.createTask(taskcluster.slugid(), definition({ taskGroupId: taskId }));
const listed = [];
let continuationToken;
do {
  const page = await queue.listTaskGroup(taskId, { limit: 1, ...(continuationToken && { continuationToken }) });
  listed.push(...page.tasks);
  continuationToken = page.continuationToken;
} while (continuationToken);
assert.equal(listed.length, 2);
assert.equal(listed[0].status.taskId, taskId);
const { artifacts } = await queue.listArtifacts(taskId, 0);
assert.deepEqual(artifacts.map(a => a.name), ['private/a b+c%.txt', 'public/large', 'public/lost', 'public/same', 'public/small']);

// Download.
for (const [name, want] of [['private/a b+c%.txt', 'by s3'], ['public/small', 'by object'], ['public/same', 'by object'], ['public/large', 'x'.repeat(100_000)]]) {
  const got = collect();
  await taskcluster.downloadArtifact({ taskId, runId: 0, name, queue, streamFactory: async () => got.stream, retries: 0 });
  assert.equal(got.text(), want);
}
await assert.rejects(taskcluster.downloadArtifact({ taskId, name: 'public/lost', queue, streamFactory: async () => collect().stream }), /gone/);
assert.equal(await (await fetch(queue.buildUrl(queue.getLatestArtifact, taskId, 'public/small'))).text(), 'by object');
assert.equal((await fetch(queue.buildUrl(queue.getLatestArtifact, taskId, 'private/a b+c%.txt'))).status, 403);
const signed = queue.buildSignedUrl(queue.getArtifact, taskId, 0, 'private/a b+c%.txt', { expiration: 60 });
assert.equal(await (await fetch(signed)).text(), 'by s3');

// Cancel.
const other = taskcluster.slugid();
await queue.createTask(other, definition());
assert.equal((await queue.cancelTask(other)).status.state, 'exception');

// What tasks use beside the queue.
const secrets = connect(taskcluster.Secrets, people);
await secrets.set('project/x', { secret: { key: 'value' }, expires });
assert.deepEqual((await secrets.get('project/x')).secret, { key: 'value' });
assert.deepEqual(await secrets.list(), { secrets: ['project/x'] });
await secrets.remove('project/x');
await refused(secrets.get('project/x'), 404, 'ResourceNotFound');

const index = connect(taskcluster.Index, people);
await index.insertTask('a.b.c', { taskId, rank: 2, data: { n: 1 }, expires });
await index.insertTask('a.b.c', { taskId: other, rank: 1, data: {}, expires });
assert.equal((await index.findTask('a.b.c')).taskId, taskId);
assert.equal((await index.listTasks('a.b')).tasks.length, 1);
assert.deepEqual((await index.listNamespaces('a')).namespaces.map(n => n.namespace), ['a.b']);
assert.equal(await (await fetch(index.buildSignedUrl(index.findArtifactFromTask, 'a.b.c', 'public/small'))).text(), 'by object');

const purge = connect(taskcluster.PurgeCache, people);
await purge.purgeCache(queueId, { cacheName: 'checkout' });
assert.deepEqual((await connect(taskcluster.PurgeCache, worker).purgeRequests(queueId)).requests.map(r => r.cacheName), ['checkout']);
console.log('done');
