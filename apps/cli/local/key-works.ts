import { answerOf, brokerClient, getMe } from '#client';

/** Throws when nobody answers: only a refusal says that a key is wrong. */
export async function keyWorks(url: string, key: string): Promise<boolean> {
  try {
    await answerOf(getMe({ client: brokerClient({ url, key }) }));
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === 'BrokerRefused') return false;
    throw error;
  }
}
