// A classic script in the head: a module would run after the first paint and flash the wrong theme.
try {
  const theme = JSON.parse(localStorage.getItem('chatrooms.theme'));
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be blocked; the system's preference applies then.
}
