import { byId } from './dom.js';
import { installModal, submitting } from './modal.js';
import { RoomRules } from './room-rules.js';
import { roomProblem } from './rooms.js';

const TAKEN = 'A room with that name already exists. Choose another name, or go there.';

/** The dialog that creates a room. */
export class MakeRoom {
  #api;
  #onMade;

  /** @param {{api: import('./api.js').Api, onMade: (roomId: string) => void}} options */
  constructor({ api, onMade }) {
    this.#api = api;
    this.#onMade = onMade;
    installModal(byId('make-dialog'));
    byId('make-room').addEventListener('click', () => this.#open());
    byId('make-form').addEventListener('submit', (event) => this.#submit(event));
  }

  #open() {
    byId('make-form').reset();
    byId('make-problem').textContent = '';
    byId('make-dialog').showModal();
    byId('make-form').elements.room.focus();
  }

  async #submit(event) {
    event.preventDefault();
    const { room, title, access, slow } = event.target.elements;
    const roomId = room.value.trim().normalize('NFC');
    await submitting(event.target, async () => {
      const problem = roomProblem(roomId);
      if (problem) throw new Error(problem);
      await this.#make(roomId, {
        private: access.value === 'private', title: title.value.trim() || null, slowMode: Number(slow.value),
      });
      byId('make-dialog').close();
      this.#onMade(roomId);
    });
  }

  /** Otherwise it would change the user's existing room of that name, when a new one is expected. */
  async #make(roomId, settings) {
    if (await this.#api.hasRoom(roomId)) throw new Error(TAKEN);
    try {
      await new RoomRules(this.#api, roomId).change(settings);
    } catch (error) {
      throw error.status === 403 ? new Error(TAKEN) : error;
    }
  }
}
