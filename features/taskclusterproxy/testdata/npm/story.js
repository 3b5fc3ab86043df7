// What a task does with the official client, whose root URL is the proxy.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';

const { TASKCLUSTER_PROXY_URL, TASK_ID, POOL } = process.env;
const connect = Service => new Service({ rootUrl: TASKCLUSTER_PROXY_URL, retries: 0 });
const queue = connect(taskcluster.Queue);
const secrets = connect(taskcluster.Secrets);
const index = connect(taskcluster.Index);
const expires = taskcluster.fromNowJSON('30 minutes');
const refused = (promise, statusCode, code) => assert.rejects(promise, err => {
  assert.equal(err.statusCode, statusCode);
  assert.equal(err.code, code);
  return true;
});

assert.equal((await queue.ping()).alive, true);
assert.equal((await queue.task(TASK_ID)).metadata.name, 'n');
assert.equal((await queue.status(TASK_ID)).status.state, 'running');

await secrets.set('project/js/a b', { secret: { key: 'välue' }, expires });
assert.deepEqual((await secrets.get('project/js/a b')).secret, { key: 'välue' });
await secrets.remove('project/js/a b');
await refused(secrets.get('project/js/a b'), 404, 'ResourceNotFound');
await refused(secrets.get('other'), 403, 'InsufficientScopes');

await index.insertTask('project.js.a', { taskId: TASK_ID, rank: 1, data: { n: 1 }, expires });
assert.equal((await index.findTask('project.js.a')).taskId, TASK_ID);
await refused(index.insertTask('other.a', { taskId: TASK_ID, rank: 1, data: {}, expires }), 403, 'InsufficientScopes');

const taskId = taskcluster.slugid();
const definition = {
  taskQueueId: POOL, schedulerId: 'sched', created: taskcluster.fromNowJSON('0 seconds'), deadline: taskcluster.fromNowJSON('1 hour'),
  payload: {}, metadata: { name: 'täsk', description: 'd', owner: 'nobody@example.com', source: 'https://example.com' },
};
assert.equal((await queue.createTask(taskId, definition)).status.state, 'pending');
assert.equal((await queue.task(taskId)).metadata.name, 'täsk');
await refused(queue.createTask(taskcluster.slugid(), { ...definition, scopes: ['more'] }), 403, 'InsufficientScopes');

const artifact = await queue.createArtifact(TASK_ID, 0, 'public/a b+c%.txt', { storageType: 's3', contentType: 'text/plain', expires });
assert.ok(artifact.putUrl);
await refused(queue.createArtifact(taskId, 0, 'public/a', { storageType: 's3', contentType: 'text/plain', expires }), 403, 'InsufficientScopes');
const { artifacts } = await queue.listArtifacts(TASK_ID, 0);
assert.deepEqual(artifacts.map(a => a.name), ['public/a b+c%.txt']);

const bewit = await fetch(`${TASKCLUSTER_PROXY_URL}/bewit`, {
  method: 'POST', redirect: 'manual', body: `${process.env.ROOT_URL}/api/secrets/v1/secret/project%2Fnothing`,
});
assert.equal(bewit.status, 303);
assert.equal((await fetch(bewit.headers.get('location'))).status, 404);
console.log('done');
