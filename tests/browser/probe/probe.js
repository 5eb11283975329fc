// Mounts hooks as components, under StrictMode, and keeps what they gave.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { Chatrooms } from '/static/client/chatrooms.js';
import * as library from '/static/client/react.js';
import { pageClient } from '/static/client/elements.js';

Object.assign(window, library, { React, Chatrooms, client: pageClient() });

/** @param {() => any} use calls a hook; what it returns is in `seen`, oldest first @param {any} [children] */
window.mount = (use, children = null) => {
  const seen = [];
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  function Probe({ use }) {
    const value = use();
    React.useEffect(() => {
      seen.push(value);
    });
    return children;
  }
  const render = (next) => root.render(React.createElement(React.StrictMode, null, React.createElement(Probe, { use: next })));
  render(use);
  return {
    seen,
    render,
    unmount: () => root.unmount(),
    get now() {
      return seen.at(-1);
    },
  };
};
window.ready = true;
