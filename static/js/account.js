import { toast } from './announcer.js';
import { avatar } from './avatar.js';
import { confirm } from './confirm.js';
import { byId } from './dom.js';
import { installModal, submitting } from './modal.js';

const SHORTEST_PASSWORD = 8;

/** The dialog about who the user is: sign out, another password, the end of the account. */
export class AccountDialog {
  #client;
  #onLeft;

  /**
   * @param {{client: import('../client/chatrooms.js').Chatrooms, onLeft: (notice: string) => void}} options
   *   `onLeft`: nobody is signed in any more
   */
  constructor({ client, onLeft }) {
    this.#client = client;
    this.#onLeft = onLeft;
    installModal(byId('account-dialog'));
    byId('open-account').addEventListener('click', () => this.#open());
    byId('sign-out').addEventListener('click', () => this.#signOut());
    byId('password-form').addEventListener('submit', (event) => this.#changePassword(event));
    byId('delete-form').addEventListener('submit', (event) => this.#delete(event));
  }

  #open() {
    const { user } = this.#client;
    const isGuest = user.userId.startsWith('guest-');
    byId('account-avatar').replaceChildren(avatar(user.userId, user.username));
    byId('account-name').textContent = user.username;
    byId('account-kind').textContent = isGuest ? 'Guest' : `Account · ${user.role}`;
    byId('account-guest').hidden = !isGuest;
    byId('account-forms').hidden = isGuest;
    for (const form of [byId('password-form'), byId('delete-form')]) {
      form.reset();
      form.querySelector('.form-error').textContent = '';
      form.closest('details').open = false;
    }
    byId('account-dialog').showModal();
    byId('sign-out').focus();
  }

  async #signOut() {
    byId('account-dialog').close();
    const done = this.#client.account.signOut();
    this.#onLeft('You are signed out.');
    await done;
  }

  async #changePassword(event) {
    event.preventDefault();
    const { current, next } = event.target.elements;
    await submitting(event.target, async () => {
      if ([...next.value].length < SHORTEST_PASSWORD) {
        throw new Error(`The new password needs at least ${SHORTEST_PASSWORD} characters.`);
      }
      await this.#enterWith(current.value, next.value);
      byId('account-dialog').close();
      toast('Password changed. Other devices are signed out.');
    });
  }

  /**
   * The server ends every other sign-in of the account, and gives this one new tokens. It refuses the
   * old ones before its answer is here: who needs some meanwhile waits for that answer.
   */
  async #enterWith(currentPassword, newPassword) {
    const { account } = this.#client;
    const changing = account.enter('/api/auth/password', { currentPassword, newPassword }, await account.token());
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
