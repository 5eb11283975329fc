import { avatar } from '../client/elements/people.js';
import { toast } from './announcer.js';
import { confirm } from './confirm.js';
import { byId } from './dom.js';
import { installModal, submitting } from './modal.js';

const SHORTEST_PASSWORD = 8;

/** The account dialog: sign out, change the password, delete the account. */
export class AccountDialog {
  #client;
  #onLeft;

  /**
   * @param {{client: import('../client/chatrooms.js').Chatrooms, onLeft: (notice: string) => void}} options
   *   `onLeft`: called once nobody is signed in any more
   */
  constructor({ client, onLeft }) {
    this.#client = client;
    this.#onLeft = onLeft;
    installModal(byId('account-dialog'));
    byId('open-account').addEventListener('click', () => this.#open());
    byId('keep-name').addEventListener('click', () => {
      this.#open();
      byId('keep-email').focus();
    });
    byId('keep-form').addEventListener('submit', (event) => this.#keep(event));
    byId('sign-out').addEventListener('click', () => this.#signOut());
    byId('password-form').addEventListener('submit', (event) => this.#changePassword(event));
    byId('delete-form').addEventListener('submit', (event) => this.#delete(event));
  }

  #open() {
    const { user } = this.#client;
    const isGuest = Boolean(user.guest);
    byId('account-avatar').replaceChildren(avatar(user.userId, user.username));
    byId('account-name').textContent = byId('account-name').title = user.username;
    byId('account-kind').textContent = isGuest ? 'Guest' : `Account${user.role === 'user' ? '' : ` · ${user.role}`}`;
    byId('keep-form').hidden = !isGuest;
    byId('account-forms').hidden = isGuest;
    for (const form of [byId('keep-form'), byId('password-form'), byId('delete-form')]) {
      form.reset();
      form.querySelector('.form-error').textContent = '';
      form.closest('details')?.removeAttribute('open');
    }
    byId('keep-username').value = user.username;
    byId('account-dialog').showModal();
    byId('sign-out').focus();
  }

  async #signOut() {
    byId('account-dialog').close();
    const done = this.#client.account.signOut();
    this.#onLeft('You are signed out.');
    await done;
  }

  /** Turns the guest into an account: the userId and everything it owns stay. */
  async #keep(event) {
    event.preventDefault();
    const { username, email, password } = event.target.elements;
    await submitting(event.target, async () => {
      const empty = [username, email, password].find(({ value }) => !value.trim());
      if (empty) {
        empty.focus();
        throw new Error(`${empty.labels[0].firstChild.textContent.trim()} is required.`);
      }
      checkLength(password);
      const body = { username: username.value.trim(), email: email.value.trim(), password: password.value };
      await this.#enterAnew('/api/signup', body);
      byId('account-dialog').close();
      if (!byId('keep-name').checkVisibility()) byId('open-account').focus();
      toast('Your account is ready, and the name is yours.');
    });
  }

  async #changePassword(event) {
    event.preventDefault();
    const { current, next } = event.target.elements;
    await submitting(event.target, async () => {
      checkLength(next);
      await this.#enterAnew('/api/auth/password', { currentPassword: current.value, newPassword: next.value });
      byId('account-dialog').close();
      toast('Password changed. Other devices are signed out.');
    });
  }

  /**
   * A call that gives this sign-in new tokens and ends the old ones. The server refuses the old ones
   * before its response arrives, so callers that need a token meanwhile wait for it.
   */
  async #enterAnew(path, body) {
    const { account } = this.#client;
    const changing = account.enter(path, body, await account.token());
    account.refresh = () => changing;
    await changing.finally(() => { delete account.refresh; });
  }

  async #delete(event) {
    event.preventDefault();
    const password = event.target.elements.password.value;
    const text = 'Your messages stay; who wrote them is forgotten. This cannot be undone.';
    if (!await confirm({ title: 'Delete your account?', text, yes: 'Delete account' })) return;
    await submitting(event.target, async () => {
      await this.#client.call('DELETE', '/api/auth/me', { body: { password } });
      await this.#client.account.signOut();
      byId('account-dialog').close();
      this.#onLeft('Your account is deleted.');
    });
  }
}

function checkLength(input) {
  if ([...input.value].length >= SHORTEST_PASSWORD) return;
  input.focus();
  throw new Error(`A password needs at least ${SHORTEST_PASSWORD} characters.`);
}
