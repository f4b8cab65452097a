// SPDX-License-Identifier: Apache-2.0
'use strict';
const kRefreshMs = 3000;
const at = (id) => document.getElementById(id);
let timer = 0;

async function read(path, token) {
  const answer = await fetch(path, {headers: {Authorization: 'Bearer ' + token}, cache: 'no-store'});
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || body.title || answer.statusText);
  return body;
}

async function readAll(path, token) {
  let items = [];
  for (let cursor = ''; ;) {
    const page = await read(path + (cursor ? '?cursor=' + encodeURIComponent(cursor) : ''), token);
    items = items.concat(page.items);
    if (!page.next_cursor) return items;
    cursor = page.next_cursor;
  }
}

function fill(table, rows) {
  at(table).tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = document.createElement('tr');
    for (const text of cells) {
      row.insertCell().textContent = text === undefined || text === null ? '' : text;
    }
    return row;
  }));
}

function show(cluster, nodes, containers) {
  at('cluster').textContent = `${cluster.name}, ${cluster.prefix}, epoch ${cluster.epoch}, version ${cluster.version}`;
  const notes = (cluster.conditions || []).map((each) => each.message);
  if (cluster.moves_frozen) notes.unshift('Nothing is moved: ' + cluster.moves_frozen_reason);
  at('conditions').replaceChildren(...notes.map((text) => {
    const item = document.createElement('li');
    item.textContent = text;
    return item;
  }));
  fill('nodes', nodes.map((n) => [n.name, n.state + (n.cordoned ? ', cordoned' : ''), n.address,
    n.inventory && n.inventory.architecture, n.container_count, n.reason]));
  fill('containers', containers.map((c) => [c.name, c.status.state, c.status.node, c.status.address,
    c.spec.image, c.status.reason]));
}

function setShown(shown) {
  at('shown').hidden = !shown;
  at('login').hidden = shown;
}

async function refresh() {
  const token = sessionStorage.getItem('token');
  if (!token) return setShown(false);
  try {
    const [cluster, nodes, containers] = await Promise.all(
        [read('/v1/cluster', token), readAll('/v1/nodes', token), readAll('/v1/containers', token)]);
    show(cluster, nodes, containers);
    at('problem').hidden = true;
    setShown(true);
  } catch (error) {
    at('problem').textContent = error.message;
    at('problem').hidden = false;
    if (at('shown').hidden) return setShown(false);
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, kRefreshMs);
}

at('login').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem('token', at('token').value.trim());
  at('token').value = '';
  refresh();
});
at('forget').addEventListener('click', () => {
  sessionStorage.removeItem('token');
  clearTimeout(timer);
  setShown(false);
  at('cluster').textContent = '';
});
refresh();
